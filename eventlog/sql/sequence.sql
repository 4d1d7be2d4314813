-- Give contiguous positions to what is committed, about `batch` events a call (an append is never split, so that a large
-- one makes it more). Returns how many, or -1 when another session is at it.
CREATE OR REPLACE FUNCTION eventlog_sequence(batch integer DEFAULT 10000) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off  -- a plan cached while `pending` was empty would cost seconds a call in a burst
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
  n integer;
  v_appends bigint[];
  v_ids bigint[];
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('eventlog_sequence', 0)) THEN  -- _xact_: safe behind a pooler
    RETURN -1;
  END IF;
  SELECT array_agg(p.id) INTO v_appends
    FROM (SELECT q.id, sum(cardinality(q.event_ids)) OVER (ORDER BY q.id) - cardinality(q.event_ids) AS before
            FROM (SELECT r.id, r.event_ids FROM eventlog_pending r ORDER BY r.id LIMIT batch) q) p
   WHERE p.before < batch;
  IF v_appends IS NULL THEN
    RETURN 0;
  END IF;
  WITH taken AS (DELETE FROM eventlog_pending p WHERE p.id = ANY (v_appends) RETURNING p.event_ids)
  SELECT array_agg(e.id ORDER BY e.id) INTO v_ids FROM taken t, unnest(t.event_ids) AS e (id);
  n := cardinality(v_ids);
  UPDATE eventlog_sequencer SET last = last + n WHERE id = 1;
  INSERT INTO eventlog_position (position, event_id)
  SELECT s.last - n + i.ordinality, i.id
    FROM eventlog_sequencer s, unnest(v_ids) WITH ORDINALITY AS i (id, ordinality) WHERE s.id = 1;
  RETURN n;
END $$;
