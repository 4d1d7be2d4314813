-- Current bucket of known ids. Around an edge between buckets appends take turns (one minute before to one after), so
-- that two senders of one id cannot each win in a bucket of their own.
CREATE OR REPLACE FUNCTION eventlog_bucket() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  length constant double precision := 30 * 86400;
  age double precision := extract(epoch FROM clock_timestamp()) / length;
BEGIN
  IF abs(age - round(age)) * length < 60 THEN
    PERFORM pg_advisory_xact_lock(hashtextextended('eventlog_bucket', 0));
    age := extract(epoch FROM clock_timestamp()) / length;
  END IF;
  RETURN floor(age)::integer;
END $$;

-- Append stream-less facts; rows come back for those accepted. Ids are distinct within a call and arrive sorted, so that
-- two batches cannot deadlock. The caller asks eventlog_known_id about the others in a statement of its own, which sees
-- what a racing sender committed while this one waited for it.
CREATE OR REPLACE FUNCTION eventlog_append_facts(
  p_shop integer, p_event_id uuid[], p_hash bytea[], p_type text[], p_schema_version smallint[], p_data text[],
  p_personal bytea[], p_subject uuid[], p_causation uuid[], p_occurred timestamptz[]
) RETURNS TABLE (given_id uuid, row_id bigint) LANGUAGE plpgsql AS $$
DECLARE
  v_bucket integer := eventlog_bucket();
BEGIN
  RETURN QUERY
  WITH given AS (
    SELECT * FROM unnest(p_event_id, p_hash, p_type, p_schema_version, p_data, p_personal, p_subject, p_causation, p_occurred)
      AS g (event_id, hash, type, schema_version, data, personal, subject_id, causation_id, occurred_at)
  ), won AS (
    INSERT INTO eventlog_known_id AS k (shop_id, event_id, bucket, content_hash)
    SELECT p_shop, g.event_id, v_bucket, g.hash FROM given g
     WHERE NOT EXISTS (SELECT 1 FROM eventlog_known_id o
                        WHERE o.shop_id = p_shop AND o.event_id = g.event_id AND o.bucket = v_bucket - 1)
    ON CONFLICT DO NOTHING RETURNING k.event_id
  ), stored AS (
    INSERT INTO eventlog_event AS e (shop_id, type, schema_version, data, personal, subject_id, event_id, causation_id, occurred_at)
    SELECT p_shop, g.type, g.schema_version, g.data::jsonb, g.personal, g.subject_id, g.event_id, g.causation_id, g.occurred_at
      FROM given g JOIN won w ON w.event_id = g.event_id
    RETURNING e.id, e.event_id
  ), queued AS (
    INSERT INTO eventlog_pending SELECT s.id FROM stored s
  )
  SELECT s.event_id, s.id FROM stored s;
END $$;

-- Append to streams, at most one event a stream in a call. Heads are locked in the order of their names, so that two
-- batches cannot deadlock; one head of another version than expected refuses the whole call.
CREATE OR REPLACE FUNCTION eventlog_append_streams(
  p_shop integer, p_stream text[], p_expected integer[], p_state text[], p_event_id uuid[], p_type text[],
  p_schema_version smallint[], p_data text[], p_causation uuid[], p_occurred timestamptz[]
) RETURNS TABLE (given_id uuid, row_id bigint, stream_version integer) LANGUAGE plpgsql AS $$
DECLARE
  v_stale text;
BEGIN
  INSERT INTO eventlog_stream (shop_id, stream, version)
  SELECT p_shop, g.stream, 0 FROM unnest(p_stream) AS g (stream) ORDER BY g.stream
  ON CONFLICT DO NOTHING;

  SELECT min(l.stream) INTO v_stale
    FROM (SELECT s.stream, s.version, g.expected
            FROM unnest(p_stream, p_expected) AS g (stream, expected)
            JOIN eventlog_stream s ON s.shop_id = p_shop AND s.stream = g.stream
           ORDER BY s.stream FOR UPDATE OF s) l
   WHERE l.expected IS NOT NULL AND l.expected <> l.version;
  IF v_stale IS NOT NULL THEN
    RAISE EXCEPTION 'stream % is not at the expected version', v_stale USING ERRCODE = 'FR001', DETAIL = v_stale;
  END IF;

  RETURN QUERY
  WITH given AS (
    SELECT * FROM unnest(p_stream, p_state, p_event_id, p_type, p_schema_version, p_data, p_causation, p_occurred)
      AS g (stream, state, event_id, type, schema_version, data, causation_id, occurred_at)
  ), moved AS (
    UPDATE eventlog_stream AS s SET version = s.version + 1, state = coalesce(g.state::jsonb, s.state)
      FROM given g WHERE s.shop_id = p_shop AND s.stream = g.stream
    RETURNING s.stream, s.version
  ), stored AS (
    INSERT INTO eventlog_event AS e (shop_id, stream, version, type, schema_version, data, event_id, causation_id, occurred_at)
    SELECT p_shop, g.stream, m.version, g.type, g.schema_version, g.data::jsonb, g.event_id, g.causation_id, g.occurred_at
      FROM given g JOIN moved m ON m.stream = g.stream ORDER BY g.stream
    RETURNING e.id, e.event_id, e.version
  ), queued AS (
    INSERT INTO eventlog_pending SELECT s.id FROM stored s
  )
  SELECT s.event_id, s.id, s.version FROM stored s;
END $$;

-- Give contiguous positions to what is committed. Returns how many, or -1 when another session is at it.
CREATE OR REPLACE FUNCTION eventlog_sequence(batch integer DEFAULT 5000) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off  -- a plan cached while `pending` was empty would cost seconds a call in a burst
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
  n integer;
  v_ids bigint[];
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('eventlog_sequence', 0)) THEN  -- _xact_: safe behind a pooler
    RETURN -1;
  END IF;
  v_ids := ARRAY(SELECT p.event_id FROM eventlog_pending p ORDER BY p.event_id LIMIT batch);
  n := cardinality(v_ids);
  IF n = 0 THEN
    RETURN 0;
  END IF;
  DELETE FROM eventlog_pending WHERE event_id = ANY (v_ids);
  UPDATE eventlog_sequencer SET last = last + n WHERE id = 1;
  INSERT INTO eventlog_position (position, event_id)
  SELECT s.last - n + i.ordinality, i.id
    FROM eventlog_sequencer s, unnest(v_ids) WITH ORDINALITY AS i (id, ordinality) WHERE s.id = 1;
  RETURN n;
END $$;

-- Make the partitions that hold the next ids, positions and days; drop the buckets that nobody looks up any more.
CREATE OR REPLACE FUNCTION eventlog_make_partitions(rows_each bigint DEFAULT 5000000, ahead integer DEFAULT 2)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  v_made integer := 0;
  v_table text;
  v_start bigint;
  v_name text;
  v_bucket integer := floor(extract(epoch FROM clock_timestamp()) / (30 * 86400));
BEGIN
  FOREACH v_table IN ARRAY ARRAY['eventlog_event', 'eventlog_position'] LOOP
    IF v_table = 'eventlog_event' THEN
      SELECT coalesce(max(id), 0) INTO v_start FROM eventlog_event;
    ELSE
      SELECT last INTO v_start FROM eventlog_sequencer;
    END IF;
    FOR k IN 0..ahead LOOP
      v_name := format('%s_p%s', v_table, v_start / rows_each + k);
      IF to_regclass(v_name) IS NULL THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s)', v_name, v_table,
                       (v_start / rows_each + k) * rows_each, (v_start / rows_each + k + 1) * rows_each);
        v_made := v_made + 1;
      END IF;
    END LOOP;
  END LOOP;
  FOR k IN -1..ahead LOOP
    v_name := format('eventlog_known_id_b%s', v_bucket + k);
    IF to_regclass(v_name) IS NULL THEN
      EXECUTE format('CREATE TABLE %I PARTITION OF eventlog_known_id FOR VALUES IN (%s)', v_name, v_bucket + k);
      v_made := v_made + 1;
    END IF;
  END LOOP;
  FOR v_name IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = 'eventlog_known_id'::regclass AND c.relname ~ '_b\d+$'
                   AND substring(c.relname FROM '_b(\d+)$')::integer < v_bucket - 1 LOOP
    EXECUTE format('DROP TABLE %I', v_name);
  END LOOP;
  RETURN v_made;
END $$;

SELECT eventlog_make_partitions();
