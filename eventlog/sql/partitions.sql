-- Add a partition without the exclusive lock on the parent that CREATE TABLE ... PARTITION OF takes: it would queue behind
-- any open transaction that read the log, and every writer behind it.
CREATE OR REPLACE FUNCTION eventlog_add_partition(parent text, number bigint, rows_each bigint) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  v_name text := format('%s_p%s', parent, number);
BEGIN
  IF to_regclass(v_name) IS NOT NULL THEN
    RETURN 0;
  END IF;
  EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', v_name, parent);
  EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', parent, v_name,
                 number * rows_each, (number + 1) * rows_each);
  RETURN 1;
END $$;

-- Make the partitions that hold the next rows and positions; returns how many it made. Two calls at once take turns.
CREATE OR REPLACE FUNCTION eventlog_make_partitions(rows_each bigint DEFAULT 5000000, ahead integer DEFAULT 2)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  v_made integer := 0;
  v_event bigint;
  v_position bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('eventlog_make_partitions', 0));
  v_event := coalesce((SELECT max(id) FROM eventlog_event), 0) / rows_each;
  v_position := (SELECT last FROM eventlog_sequencer) / rows_each;
  FOR k IN 0..ahead LOOP
    v_made := v_made + eventlog_add_partition('eventlog_event', v_event + k, rows_each)
                     + eventlog_add_partition('eventlog_position', v_position + k, rows_each);
  END LOOP;
  RETURN v_made;
END $$;

-- How many empty partitions the shorter of the two tables has ahead; under 1 appends are about to fail.
CREATE OR REPLACE FUNCTION eventlog_partitions_ahead(rows_each bigint DEFAULT 5000000) RETURNS integer LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT min(made.newest - t.used)::integer
    FROM (SELECT i.inhparent, max(substring(c.relname FROM '_p(\d+)$')::bigint) AS newest
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid GROUP BY i.inhparent) made
    JOIN (VALUES ('eventlog_event'::regclass, coalesce((SELECT max(id) FROM eventlog_event), 0) / rows_each),
                 ('eventlog_position'::regclass, (SELECT last FROM eventlog_sequencer) / rows_each)) AS t (parent, used)
      ON t.parent = made.inhparent;
END;

-- Let the known ids grow older by a generation when this one is old enough; returns whether it did. It waits for appends
-- under way, and those that come wait for it: no two senders of one id can each win in a generation of their own.
CREATE OR REPLACE FUNCTION eventlog_turn_known_ids(age interval DEFAULT '30 days') RETURNS boolean LANGUAGE plpgsql
SET lock_timeout = '500ms'  -- rather a later call than everybody behind somebody's open transaction
AS $$
BEGIN
  PERFORM 1 FROM eventlog_sequencer WHERE known_since <= now() - age;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  -- The order in which an append takes them. A transaction of several may still wait for this one and this one for it;
  -- then this one gives way, its lock_timeout being under PostgreSQL's deadlock_timeout (1 s).
  LOCK TABLE eventlog_known_id_before, eventlog_known_id IN ACCESS EXCLUSIVE MODE;
  UPDATE eventlog_sequencer SET known_since = now() WHERE known_since <= now() - age;
  IF NOT FOUND THEN  -- another call did it meanwhile
    RETURN false;
  END IF;
  DROP TABLE eventlog_known_id_before;
  ALTER TABLE eventlog_known_id RENAME TO eventlog_known_id_before;
  ALTER INDEX eventlog_known_id_pkey RENAME TO eventlog_known_id_before_pkey;
  CREATE TABLE eventlog_known_id (LIKE eventlog_known_id_before INCLUDING ALL);
  RETURN true;
EXCEPTION WHEN lock_not_available THEN
  RETURN false;
END $$;

SELECT eventlog_make_partitions();
