-- Add a partition without the exclusive lock on the parent that CREATE TABLE ... PARTITION OF takes: it would queue behind
-- any open transaction that read the log, and every writer behind it.
CREATE OR REPLACE FUNCTION eventlog_add_partition(parent text, name text, bounds text) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
  IF to_regclass(name) IS NOT NULL THEN
    RETURN 0;
  END IF;
  EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', name, parent);
  EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES %s', parent, name, bounds);
  RETURN 1;
END $$;

-- Make the partitions that hold the next rows, positions and buckets; drop the buckets that nobody looks up any more.
-- Returns how many it made. Two calls at once take turns.
CREATE OR REPLACE FUNCTION eventlog_make_partitions(rows_each bigint DEFAULT 5000000, ahead integer DEFAULT 2)
RETURNS integer LANGUAGE plpgsql
SET lock_timeout = '1s'  -- dropping locks the parent: rather later than in everybody's way
AS $$
DECLARE
  v_made integer := 0;
  v_bucket integer := floor(eventlog_bucket_age());
  v_event bigint := coalesce((SELECT max(id) FROM eventlog_event), 0) / rows_each;
  v_position bigint := (SELECT last FROM eventlog_sequencer) / rows_each;
  v_bounds constant text := 'FROM (%s) TO (%s)';
  v_name text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('eventlog_make_partitions', 0));
  FOR k IN v_event .. v_event + ahead LOOP
    v_made := v_made + eventlog_add_partition('eventlog_event', 'eventlog_event_p' || k,
                                              format(v_bounds, k * rows_each, (k + 1) * rows_each));
  END LOOP;
  FOR k IN v_position .. v_position + ahead LOOP
    v_made := v_made + eventlog_add_partition('eventlog_position', 'eventlog_position_p' || k,
                                              format(v_bounds, k * rows_each, (k + 1) * rows_each));
  END LOOP;
  FOR k IN v_bucket - 1 .. v_bucket + ahead LOOP
    v_made := v_made + eventlog_add_partition('eventlog_known_id', 'eventlog_known_id_b' || k, format('IN (%s)', k));
  END LOOP;
  FOR v_name IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = 'eventlog_known_id'::regclass
                   AND substring(c.relname FROM '_b(\d+)$')::integer < v_bucket - 1 LOOP
    BEGIN
      EXECUTE format('DROP TABLE %I', v_name);
    EXCEPTION WHEN lock_not_available THEN
      RAISE NOTICE '% is in use; the next call drops it', v_name;
    END;
  END LOOP;
  RETURN v_made;
END $$;

-- How many empty partitions the shortest of the three tables has ahead; under 1 appends are about to fail.
CREATE OR REPLACE FUNCTION eventlog_partitions_ahead(rows_each bigint DEFAULT 5000000) RETURNS integer LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT min(newest - used)::integer
    FROM (SELECT i.inhparent, max(substring(c.relname FROM '_[pb](\d+)$')::bigint) AS newest
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid GROUP BY i.inhparent) made
    JOIN (VALUES ('eventlog_event'::regclass, coalesce((SELECT max(id) FROM eventlog_event), 0) / rows_each),
                 ('eventlog_position'::regclass, (SELECT last FROM eventlog_sequencer) / rows_each),
                 ('eventlog_known_id'::regclass, floor(eventlog_bucket_age())::bigint)) AS t (parent, used)
      ON t.parent = made.inhparent;
END;

SELECT eventlog_make_partitions();
