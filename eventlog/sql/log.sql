-- The event log. Read beside docs/architecture.md; the measurements behind each choice are in docs/decisions/.

-- 1. the events: insert-only, partitioned by insert id (which is known when the row is made)
CREATE TABLE eventlog_event (
  id             bigint GENERATED ALWAYS AS IDENTITY,
  shop_id        integer     NOT NULL,
  stream         text,                    -- description/<product>, offer/<product>, ...; NULL: a fact of no stream (feedback)
  version        integer,                 -- within the stream
  type           text        NOT NULL,
  schema_version smallint    NOT NULL,
  data           json        NOT NULL,    -- nothing that names a person; the text as it was appended
  personal       bytea,                   -- AES-256-GCM under the shopper's own key, AAD = event_id
  subject_id     uuid,                    -- random; the mapping to a shopper dies with the key
  event_id       uuid        NOT NULL,
  causation_id   uuid,
  occurred_at    timestamptz NOT NULL,    -- the sender's clock
  recorded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (id),
  CHECK ((stream IS NULL) = (version IS NULL))
) PARTITION BY RANGE (id);
-- for the history of one stream (description versions of a product)
CREATE INDEX eventlog_event_stream ON eventlog_event (shop_id, stream, version) WHERE stream IS NOT NULL;

-- 2. stream heads: optimistic concurrency and the folded decision state
CREATE TABLE eventlog_stream (
  shop_id integer NOT NULL,
  stream  text    NOT NULL,
  version integer NOT NULL,
  state   jsonb   NOT NULL DEFAULT '{}',
  PRIMARY KEY (shop_id, stream)
) WITH (fillfactor = 70);

-- 3. known event ids: two generations, both looked up. After 30 days the younger becomes the older and the older goes
-- (`eventlog_turn_known_ids`), so that an id is known for 30 to 60 days and forgetting costs nothing.
CREATE TABLE eventlog_known_id (
  shop_id      integer NOT NULL,
  event_id     uuid    NOT NULL,
  content_hash bytea   NOT NULL,
  PRIMARY KEY (shop_id, event_id)
);
CREATE TABLE eventlog_known_id_before (LIKE eventlog_known_id INCLUDING ALL);

-- 4. committed and not yet sequenced: a row an append, small and hot. A row an event would cost every event an insert and
-- a delete, and the sequencer a walk over as many dead rows while somebody's old snapshot keeps vacuum from them.
CREATE TABLE eventlog_pending (
  id        bigint   PRIMARY KEY,         -- the append's first event
  event_ids bigint[] NOT NULL             -- all its events, ascending
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE eventlog_pending ALTER COLUMN event_ids SET STORAGE EXTERNAL;  -- compressing it would cost more than it saves

-- 5. the one total order: contiguous, in commit order, no holes
CREATE TABLE eventlog_position (
  position     bigint      NOT NULL,
  event_id     bigint      NOT NULL,
  sequenced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (position)
) PARTITION BY RANGE (position);
-- for receipts (where did my event go) and verify_log (no event twice)
CREATE INDEX eventlog_position_event ON eventlog_position (event_id);
CREATE TABLE eventlog_sequencer (
  id   smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
  last bigint   NOT NULL,
  known_since timestamptz NOT NULL DEFAULT now()  -- when this generation of known ids began
) WITH (fillfactor = 10);
INSERT INTO eventlog_sequencer (last) VALUES (0);

-- 6. consumers: where each stands, when each range became visible, what each could not apply
CREATE TABLE eventlog_checkpoint (
  consumer text   PRIMARY KEY,
  position bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
CREATE TABLE eventlog_drain (
  consumer      text        NOT NULL,
  from_position bigint      NOT NULL,     -- exclusive
  to_position   bigint      NOT NULL,     -- inclusive
  committed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (consumer, to_position)
);
CREATE INDEX eventlog_drain_committed ON eventlog_drain (committed_at);  -- for dropping what is older than 30 days
CREATE TABLE eventlog_failure (
  consumer text    NOT NULL,
  position bigint  NOT NULL,
  attempts integer NOT NULL,
  error    text    NOT NULL,
  failed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (consumer, position)
);
CREATE TABLE eventlog_parked (
  consumer  text   NOT NULL,
  position  bigint NOT NULL,
  error     text   NOT NULL,
  parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  retried_position bigint,                -- where the log stood when a retry was asked for; NULL: still parked
  PRIMARY KEY (consumer, position)
);
