-- experiments as they were started, and whether they run; a shop has a handful
CREATE TABLE ranking_experiment (
  shop_id    integer NOT NULL,
  id         text    NOT NULL,                    -- <surface>-<number>
  position   bigint  NOT NULL,                    -- of the event that started it
  name       text    NOT NULL,
  surface    text    NOT NULL,
  kind       text    NOT NULL CHECK (kind IN ('ab', 'interleaving')),
  variants   text    NOT NULL,                    -- [{"name", "settings", "share"}], control first
  seed       bigint  NOT NULL,
  level      double precision NOT NULL,
  guards     text    NOT NULL,                    -- {"ctr": 0.1}
  started_at timestamptz NOT NULL,
  stopped    text[]  NOT NULL DEFAULT '{}',       -- variants that were stopped alone
  stopped_at timestamptz,
  reason     text,
  detail     text,
  PRIMARY KEY (shop_id, id)
);
-- what runs, which every serving process asks twice a second
CREATE INDEX ranking_experiment_running ON ranking_experiment (shop_id) WHERE stopped_at IS NULL;

-- how an experiment stood from time to time: what its page draws
CREATE TABLE ranking_experimentreading (
  shop_id       integer NOT NULL,
  experiment    text    NOT NULL,
  position      bigint  NOT NULL,                 -- of the event
  read_position bigint  NOT NULL,                 -- up to which all was counted
  requests      integer NOT NULL,
  figures       text    NOT NULL,
  at            timestamptz NOT NULL,
  PRIMARY KEY (shop_id, experiment, position)
);

-- a row for each answer that counts in an experiment, and what followed from it
CREATE TABLE ranking_experimentrequest (
  shop_id    integer NOT NULL,
  ref        text    NOT NULL,
  experiment text    NOT NULL,
  variant    text    NOT NULL,
  subject_id uuid,                                -- null: nobody knows, or not any more
  shown      boolean NOT NULL,                    -- without an impression nobody knows that it was
  clicks     integer NOT NULL,
  clicks_a   integer NOT NULL,                    -- on products of the first team of an interleaved list, of the second
  clicks_b   integer NOT NULL,
  added      integer NOT NULL,
  purchased  integer NOT NULL,
  revenue    numeric NOT NULL,                    -- exact: the sum must not depend on the order of adding
  PRIMARY KEY (shop_id, ref)
);
-- a read-out: all of one experiment
CREATE INDEX ranking_experimentrequest_read ON ranking_experimentrequest (shop_id, experiment);
-- erasing finds a subject's rows
CREATE INDEX ranking_experimentrequest_subject ON ranking_experimentrequest (subject_id) WHERE subject_id IS NOT NULL;

-- subjects that were erased: what still comes of one is nobody's
CREATE TABLE ranking_experiment_erased (subject_id uuid PRIMARY KEY);
