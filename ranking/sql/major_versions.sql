-- near contexts by encoder: each major version has its own, side by side while one takes over from another
ALTER TABLE ranking_contextneighbour ADD COLUMN encoder text;  -- the first 16 characters of its fingerprint
ALTER TABLE ranking_relatedcontext ADD COLUMN encoder text;
UPDATE ranking_contextneighbour n SET encoder = left(m.encoder, 16)
  FROM ranking_modelversion m WHERE m.shop_id = n.shop_id AND m.version = '1.0';
UPDATE ranking_relatedcontext r SET encoder = left(m.encoder, 16)
  FROM ranking_modelversion m WHERE m.shop_id = r.shop_id AND m.version = '1.0';
ALTER TABLE ranking_contextneighbour DROP CONSTRAINT ranking_contextneighbour_pkey,
  ADD PRIMARY KEY (context_id, encoder, neighbour_id) INCLUDE (similarity);
ALTER TABLE ranking_relatedcontext DROP CONSTRAINT ranking_relatedcontext_pkey, ADD PRIMARY KEY (context_id, encoder);

-- major versions whose current vectors are not kept any more; their table is dropped when nobody reads it
CREATE TABLE ranking_retiredmajor (
  shop_id integer NOT NULL,
  major   integer NOT NULL,
  PRIMARY KEY (shop_id, major)
);
