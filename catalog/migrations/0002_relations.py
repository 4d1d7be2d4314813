from django.db import migrations

SQL = """
-- how current products stand to others, one row each; an edge may name a product that is not there (yet)
CREATE TABLE catalog_relation (
    shop_id integer NOT NULL,
    product_id text NOT NULL,
    kind text NOT NULL,
    other_id text NOT NULL,
    PRIMARY KEY (shop_id, product_id, kind, other_id)
);
-- the other way: what replaces a product, what goes with it, what is a variant of it
CREATE INDEX catalog_relation_other ON catalog_relation (shop_id, kind, other_id, product_id);

-- what is connected by variant_of, in any number of steps: all have the smallest of their ids as family
CREATE TABLE catalog_variant (
    shop_id integer NOT NULL,
    product_id text NOT NULL,
    family text NOT NULL,
    PRIMARY KEY (shop_id, product_id)
);
CREATE INDEX catalog_variant_family ON catalog_variant (shop_id, family);
"""

FILL = (
    """
INSERT INTO catalog_relation (shop_id, product_id, kind, other_id)
SELECT DISTINCT p.shop_id, p.product_id, r.kind, r.product_id
  FROM catalog_product p CROSS JOIN LATERAL jsonb_to_recordset(p.relations) AS r (kind text, product_id text)""",
    """
WITH RECURSIVE edge AS (
  SELECT shop_id, product_id AS a, other_id AS b FROM catalog_relation WHERE kind = 'variant_of'
  UNION SELECT shop_id, other_id, product_id FROM catalog_relation WHERE kind = 'variant_of'
), reached (shop_id, a, b) AS (
  SELECT shop_id, a, a FROM edge UNION SELECT shop_id, a, b FROM edge
  UNION SELECT r.shop_id, r.a, e.b FROM reached r JOIN edge e ON e.shop_id = r.shop_id AND e.a = r.b
)
INSERT INTO catalog_variant (shop_id, product_id, family)
SELECT shop_id, a, min(b COLLATE "C") FROM reached GROUP BY shop_id, a""",
)


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_read_models")]

    operations = [migrations.RunSQL([SQL, *FILL], "DROP TABLE catalog_variant; DROP TABLE catalog_relation")]
