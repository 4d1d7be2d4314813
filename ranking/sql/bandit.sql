-- What each arm of a surface earned, as the bandit believes it: decayed sums as of the arm's own last trial.
CREATE TABLE ranking_banditarm (
  shop_id integer NOT NULL,
  surface text    NOT NULL,
  segment text    NOT NULL,
  arm     text    NOT NULL,
  trials  double precision NOT NULL,
  reward  double precision NOT NULL,
  squares double precision NOT NULL,
  at      double precision NOT NULL,  -- in seconds, of the last trial
  turn    bigint  NOT NULL,           -- of the surface, at the last trial
  count   bigint  NOT NULL,           -- not decayed
  PRIMARY KEY (shop_id, surface, segment, arm)
);
CREATE TABLE ranking_banditturn (
  shop_id integer NOT NULL,
  surface text    NOT NULL,
  number  bigint  NOT NULL,
  at      double precision NOT NULL,
  PRIMARY KEY (shop_id, surface)
);
-- a shop's time as far as the log tells it: what is due by it has closed
CREATE TABLE ranking_banditclock (
  shop_id integer PRIMARY KEY,
  at      double precision NOT NULL
);
-- open trials; the key is a digest of answer and shopper, so that no row says whose it is
CREATE TABLE ranking_bandittrial (
  shop_id    integer NOT NULL,
  key        text    NOT NULL,
  surface    text    NOT NULL,
  segment    text    NOT NULL,
  arm        text    NOT NULL,
  propensity double precision NOT NULL,
  due_at     double precision NOT NULL,
  shown      boolean NOT NULL,
  deeds      text[]  NOT NULL,        -- kind and product, by turns
  PRIMARY KEY (shop_id, key)
);
CREATE INDEX ranking_bandittrial_due ON ranking_bandittrial (shop_id, due_at);  -- for what closes
-- how each surface chooses, as an operator last said
CREATE TABLE ranking_banditset (
  shop_id  integer NOT NULL,
  surface  text    NOT NULL,
  position bigint  NOT NULL,
  set_at   timestamptz NOT NULL,
  explore  double precision NOT NULL,
  fixed    text,
  off      text[]  NOT NULL,
  estimate jsonb,
  forced   text,
  PRIMARY KEY (shop_id, surface)
);
