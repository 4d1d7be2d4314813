-- every table of signals that a shop ever had, under the position of its event: an old answer is made from the one of its time
CREATE TABLE ranking_signals (
  shop_id  integer NOT NULL,
  position bigint  NOT NULL,
  signals  jsonb   NOT NULL,
  estimate jsonb,                                 -- what its preview said; NULL: it had none, and the reason says why
  reason   text,
  set_at   timestamptz NOT NULL,
  PRIMARY KEY (shop_id, position)
);
-- seconds in which breadth falls to 1/e: of the shop's half-life, so that an index may order by it
ALTER TABLE ranking_productweight ADD COLUMN breadth_life double precision NOT NULL DEFAULT 373946.555;
DROP INDEX ranking_productweight_breadth;
-- for popular candidates: the broadest products, whatever the time (BREADTH_ORDER in ranking/retrieval.py)
CREATE INDEX ranking_productweight_breadth ON ranking_productweight
  (shop_id, (ln(breadth) + breadth_at / breadth_life)) WHERE breadth > 0;
-- how varied a surface's lists are, as an operator last set it
CREATE TABLE ranking_diversity (
  shop_id        integer NOT NULL,
  surface        text    NOT NULL,
  position       bigint  NOT NULL,
  strength       double precision NOT NULL,
  group_by       text    NOT NULL,
  most_per_group double precision,
  PRIMARY KEY (shop_id, surface)
);
