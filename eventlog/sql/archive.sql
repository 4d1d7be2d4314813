-- What of the log lies in files. A row is written in the transaction that drops what it names.
CREATE TABLE IF NOT EXISTS eventlog_archive (
  relation    text        NOT NULL CHECK (relation IN ('eventlog_event', 'eventlog_position')),
  from_row    bigint      NOT NULL,     -- ids or positions of the partition: from_row <= row < to_row
  to_row      bigint      NOT NULL,
  rows        bigint      NOT NULL,     -- that were moved; what live queries read by stream stayed
  columns     text[]      NOT NULL,     -- of the file, in order: a table that got a column since can still take it
  file        text        NOT NULL,     -- in FRESHET_ARCHIVE: COPY's text format, gzip
  bytes       bigint      NOT NULL,
  hash        text        NOT NULL,     -- blake2b of the file, 16 bytes
  archived_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (relation, from_row)
);
