-- Who visited what: what recommendations are made from. One projection writes all of it (projections/visits.py).

-- the newest interactions of a subject, as ranking.visits.steps packs them; erasing a shopper deletes the row
CREATE TABLE ranking_visitor (
  subject_id uuid    PRIMARY KEY,
  shop_id    integer NOT NULL,
  steps      bytea   NOT NULL
) WITH (fillfactor = 70);
-- what a subject did with each product it ever touched; times in seconds
CREATE TABLE ranking_owned (
  subject_id   uuid    NOT NULL,
  visited_id   bigint  NOT NULL,
  purchases    integer NOT NULL,
  reward       double precision NOT NULL,         -- decayed to `at`
  first_at     double precision NOT NULL,
  at           double precision NOT NULL,         -- of the newest interaction
  bought_at    double precision,                  -- of the newest purchase
  dismissed_at double precision,
  PRIMARY KEY (subject_id, visited_id)
) WITH (fillfactor = 70);
-- every product that was ever visited, under the position of the first event that named it: its popularity by three
-- half-lives, decayed to `at`
CREATE TABLE ranking_visited (
  shop_id    integer NOT NULL,
  product_id text    NOT NULL,
  id         bigint  NOT NULL UNIQUE,
  first_at   double precision NOT NULL,
  day        double precision NOT NULL,
  week       double precision NOT NULL,
  month      double precision NOT NULL,
  at         double precision NOT NULL,
  PRIMARY KEY (shop_id, product_id)
) WITH (fillfactor = 70);
-- for popular and for trending candidates: how two decayed sums compare does not depend on when (ranking/visits/popularity.py)
CREATE INDEX ranking_visited_week ON ranking_visited (shop_id, (ln(week) + at / 872541.962::double precision)) WHERE week > 0;
CREATE INDEX ranking_visited_day ON ranking_visited (shop_id, (ln(day) + at / 124648.852::double precision)) WHERE day > 0;
CREATE TABLE ranking_shopvisits (                -- the same sums of the whole shop
  shop_id integer PRIMARY KEY,
  day     double precision NOT NULL,
  week    double precision NOT NULL,
  month   double precision NOT NULL,
  at      double precision NOT NULL
) WITH (fillfactor = 50);
-- with which products it was visited by the same subjects, as ranking.visits.companions packs them
CREATE TABLE ranking_covisited (
  id         bigint  PRIMARY KEY,                 -- ranking_visited.id
  shop_id    integer NOT NULL,
  total        double precision NOT NULL,         -- of all its pairs, of those too that its list lost
  total_recent double precision NOT NULL,         -- the same by the recent half-life
  companions bytea   NOT NULL
) WITH (fillfactor = 70);
ALTER TABLE ranking_covisited ALTER COLUMN companions SET STORAGE MAIN;
-- pairs that are not in the lists yet, in log order: a visit touches dozens of lists, and rewriting each would cost a
-- hundred times as much. A sweep takes them in, some products a batch
CREATE TABLE ranking_copending (
  id       bigint  NOT NULL,                      -- ranking_visited.id
  shop_id  integer NOT NULL,
  position bigint  NOT NULL,                      -- of the newest event in it
  pairs    bytea   NOT NULL
);
CREATE INDEX ranking_copending_product ON ranking_copending (id, position);
CREATE TABLE ranking_cosweep (
  shop_id integer PRIMARY KEY,
  last    bigint NOT NULL                         -- product that was taken in last
);
-- a subject that was erased: what still comes of it is nobody's
CREATE TABLE ranking_visitorerased (
  subject_id uuid PRIMARY KEY
);

-- mixes of strategies that were learned for a surface: all that ever were, and what each was worth on what came after
CREATE TABLE ranking_mix (
  shop_id      integer NOT NULL,
  surface      text    NOT NULL,
  position     bigint  NOT NULL,
  coefficients jsonb   NOT NULL,
  intercept    double precision NOT NULL,
  accepted     boolean NOT NULL,
  figures      jsonb   NOT NULL,
  learned_at   timestamptz NOT NULL,
  PRIMARY KEY (shop_id, surface, position)
);
