-- When a version was trained, and what it waits for while it is scored in shadow: until `shadow_click_throughs` with an
-- outcome have closed after `shadow_after`.
ALTER TABLE ranking_modelversion ADD COLUMN trained_at timestamptz,
                                 ADD COLUMN shadow_after bigint,
                                 ADD COLUMN shadow_click_throughs integer;
UPDATE ranking_modelversion m SET trained_at = least(e.occurred_at, e.recorded_at)
  FROM eventlog_position p JOIN eventlog_event e ON e.id = p.event_id WHERE p.position = m.trained_position;

-- which version served from which position on: what a day of versions is measured by
CREATE TABLE ranking_promotion (
  shop_id  integer     NOT NULL,
  position bigint      NOT NULL,
  version  text        NOT NULL,
  at       timestamptz NOT NULL,
  PRIMARY KEY (shop_id, position)
);
INSERT INTO ranking_promotion (shop_id, position, version, at)
SELECT e.shop_id, p.position, e.data->>'version', least(e.occurred_at, e.recorded_at)
  FROM eventlog_event e JOIN eventlog_position p ON p.event_id = e.id
 WHERE e.type = 'ranking.ModelVersionPromoted'
   AND p.position <= (SELECT position FROM eventlog_checkpoint WHERE consumer = 'models');

-- how often a shop learns; a shop without a row learns live
CREATE TABLE ranking_learning (
  shop_id  integer PRIMARY KEY,
  learning text    NOT NULL CHECK (learning IN ('live', 'daily', 'frozen')),
  position bigint  NOT NULL,
  set_at   timestamptz NOT NULL
);

-- for the newest versions of a shop: how many were refused in a row (ranking/cadence.py)
CREATE INDEX ranking_modelversion_trained ON ranking_modelversion (shop_id, trained_position);
