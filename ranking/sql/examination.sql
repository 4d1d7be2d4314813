-- how likely each rank of a shop is looked at, as estimated at a position of the log; before the first one, 1/log2(1 + rank).
-- All that ever held are kept: an impression counts by the one that was in force at its own position, in old answers too.
CREATE TABLE ranking_examination (
  shop_id  integer NOT NULL,
  position bigint  NOT NULL,                      -- of the event
  method   text    NOT NULL,
  clicks   integer NOT NULL,
  curve    double precision[] NOT NULL,           -- from rank 1 on
  PRIMARY KEY (shop_id, position)
);
