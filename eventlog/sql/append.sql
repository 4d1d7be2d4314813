-- Append one stream-less fact; returns its row id, NULL when the id is known. Scalars and three plain inserts: half the
-- work of the general function for the most frequent call. The caller asks for a known id's hash in a statement of its
-- own, which sees what a racing sender committed while this one waited for it.
CREATE OR REPLACE FUNCTION eventlog_append_fact(
  p_shop integer, p_event_id uuid, p_hash bytea, p_type text, p_schema_version smallint, p_data json,
  p_personal bytea, p_subject uuid, p_causation uuid, p_occurred timestamptz
) RETURNS bigint LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan  -- planning anew for each call would cost more than the call
AS $$
DECLARE
  v_id bigint;
BEGIN
  PERFORM 1 FROM eventlog_known_id_before k WHERE k.shop_id = p_shop AND k.event_id = p_event_id;
  IF FOUND THEN
    RETURN NULL;
  END IF;
  INSERT INTO eventlog_known_id (shop_id, event_id, content_hash)
  VALUES (p_shop, p_event_id, p_hash) ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  INSERT INTO eventlog_event (shop_id, type, schema_version, data, personal, subject_id, event_id, causation_id, occurred_at)
  VALUES (p_shop, p_type, p_schema_version, p_data, p_personal, p_subject, p_event_id, p_causation, p_occurred)
  RETURNING id INTO v_id;
  INSERT INTO eventlog_pending (id, event_ids) VALUES (v_id, ARRAY[v_id]);
  RETURN v_id;
END $$;

-- Append a batch of stream-less facts, ids distinct. Returns the ids accepted, sorted (NULL: all that were given), and
-- their row ids in the same order. Known ids are taken in sorted order, so that two batches cannot deadlock.
CREATE OR REPLACE FUNCTION eventlog_append_facts(
  p_shop integer, p_event_id uuid[], p_hash bytea[], p_type text[], p_schema_version smallint[], p_data text[],
  p_personal bytea[], p_subject uuid[], p_causation uuid[], p_occurred timestamptz[],
  OUT accepted uuid[], OUT row_ids bigint[]
) LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
  -- only its lock, before that of the table inserted into: the order of single appends and of `eventlog_turn_known_ids`
  PERFORM 1 FROM eventlog_known_id_before LIMIT 0;
  WITH won AS (
    INSERT INTO eventlog_known_id AS k (shop_id, event_id, content_hash)
    SELECT p_shop, g.event_id, g.hash FROM unnest(p_event_id, p_hash) AS g (event_id, hash)
     WHERE NOT EXISTS (SELECT 1 FROM eventlog_known_id_before o WHERE o.shop_id = p_shop AND o.event_id = g.event_id)
     ORDER BY g.event_id
    ON CONFLICT DO NOTHING RETURNING k.event_id
  )
  SELECT array_agg(w.event_id ORDER BY w.event_id) INTO accepted FROM won w;
  IF accepted IS NULL THEN
    accepted := '{}';
    RETURN;
  END IF;
  IF cardinality(accepted) = cardinality(p_event_id) THEN
    accepted := NULL;
  END IF;
  WITH stored AS (
    INSERT INTO eventlog_event AS e (shop_id, type, schema_version, data, personal, subject_id, event_id, causation_id, occurred_at)
    SELECT p_shop, g.type, g.schema_version, g.data::json, g.personal, g.subject_id, g.event_id, g.causation_id, g.occurred_at
      FROM unnest(p_event_id, p_type, p_schema_version, p_data, p_personal, p_subject, p_causation, p_occurred)
        AS g (event_id, type, schema_version, data, personal, subject_id, causation_id, occurred_at)
     WHERE accepted IS NULL OR g.event_id = ANY (accepted)
     ORDER BY g.event_id
    RETURNING e.id
  )
  SELECT array_agg(s.id ORDER BY s.id) INTO row_ids FROM stored s;
  INSERT INTO eventlog_pending (id, event_ids) VALUES (row_ids[1], row_ids);
END $$;

-- Append to streams, at most one event a stream in a call, ids distinct. An event with a known id is left out: its row does
-- not come back. Ids are taken in sorted order, then heads in the order of their names, so that two batches cannot deadlock;
-- one head of another version than expected refuses the whole call.
CREATE OR REPLACE FUNCTION eventlog_append_streams(
  p_shop integer, p_stream text[], p_expected integer[], p_state text[], p_event_id uuid[], p_hash bytea[], p_type text[],
  p_schema_version smallint[], p_data text[], p_personal bytea[], p_subject uuid[], p_causation uuid[], p_occurred timestamptz[]
) RETURNS TABLE (given_id uuid, row_id bigint, stream_version integer) LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
  v_won uuid[];  -- NULL: all
  v_stale text;
  v_head tid[];
BEGIN
  PERFORM 1 FROM eventlog_known_id_before LIMIT 0;  -- its lock first, as in eventlog_append_facts
  WITH won AS (
    INSERT INTO eventlog_known_id AS k (shop_id, event_id, content_hash)
    SELECT p_shop, g.event_id, g.hash FROM unnest(p_event_id, p_hash) AS g (event_id, hash)
     WHERE NOT EXISTS (SELECT 1 FROM eventlog_known_id_before o WHERE o.shop_id = p_shop AND o.event_id = g.event_id)
     ORDER BY g.event_id
    ON CONFLICT DO NOTHING RETURNING k.event_id
  )
  SELECT array_agg(w.event_id) INTO v_won FROM won w;
  IF v_won IS NULL THEN
    RETURN;
  END IF;
  IF cardinality(v_won) = cardinality(p_event_id) THEN
    v_won := NULL;
  END IF;

  INSERT INTO eventlog_stream (shop_id, stream, version)
  SELECT p_shop, g.stream, 0 FROM unnest(p_stream, p_event_id) AS g (stream, event_id)
   WHERE v_won IS NULL OR g.event_id = ANY (v_won) ORDER BY g.stream
  ON CONFLICT DO NOTHING;

  -- LATERAL with FOR UPDATE is a look-up a stream, whatever the planner thinks: as a join, a plan made while the table was
  -- small walked all heads of the shop for each stream given (4 s a batch at 8,000 heads, and growing)
  SELECT min(g.stream) FILTER (WHERE g.expected <> h.version), array_agg(h.head ORDER BY g.n) INTO v_stale, v_head
    FROM (SELECT * FROM unnest(p_stream, p_expected, p_event_id) WITH ORDINALITY AS u (stream, expected, event_id, n)
           WHERE v_won IS NULL OR u.event_id = ANY (v_won) ORDER BY u.stream) g
   CROSS JOIN LATERAL (SELECT s.ctid AS head, s.version FROM eventlog_stream s
                        WHERE s.shop_id = p_shop AND s.stream = g.stream FOR UPDATE) h;
  IF v_stale IS NOT NULL THEN
    RAISE EXCEPTION 'stream % is not at the expected version', v_stale USING ERRCODE = 'FR001', DETAIL = v_stale;
  END IF;
  IF v_won IS NOT NULL THEN  -- one head an event given, NULL for those left out
    SELECT array_agg(CASE WHEN g.event_id = ANY (v_won) THEN v_head[g.place] END ORDER BY g.n) INTO v_head
      FROM (SELECT u.event_id, u.n, count(*) FILTER (WHERE u.event_id = ANY (v_won)) OVER (ORDER BY u.n) AS place
              FROM unnest(p_event_id) WITH ORDINALITY AS u (event_id, n)) g;
  END IF;

  RETURN QUERY
  WITH given AS (
    SELECT * FROM unnest(v_head, p_stream, p_state, p_event_id, p_type, p_schema_version, p_data, p_personal, p_subject,
                         p_causation, p_occurred)
      AS g (head, stream, state, event_id, type, schema_version, data, personal, subject_id, causation_id, occurred_at)
  ), moved AS (
    UPDATE eventlog_stream AS s SET version = s.version + 1, state = coalesce(g.state::jsonb, s.state)
      FROM given g WHERE s.ctid = g.head  -- locked above, so it stays where it is
    RETURNING s.version, g.*
  ), stored AS (
    INSERT INTO eventlog_event AS e (shop_id, stream, version, type, schema_version, data, personal, subject_id, event_id,
                                     causation_id, occurred_at)
    SELECT p_shop, m.stream, m.version, m.type, m.schema_version, m.data::json, m.personal, m.subject_id, m.event_id,
           m.causation_id, m.occurred_at
      FROM moved m ORDER BY m.stream
    RETURNING e.id, e.event_id, e.version
  ), queued AS (
    INSERT INTO eventlog_pending (id, event_ids) SELECT min(s.id), array_agg(s.id ORDER BY s.id) FROM stored s
  )
  SELECT s.event_id, s.id, s.version FROM stored s;
END $$;
