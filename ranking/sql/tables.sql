-- Read models of ranking. No foreign keys: each projection is rebuilt on its own.

-- 1. lexical: one row a live product, one row a (term, product), and how many products hold each term
CREATE TABLE ranking_document (
  id                  bigint  PRIMARY KEY,        -- position of the product's first ProductDescribed, as in catalog_product
  shop_id             integer NOT NULL,
  product_id          text    NOT NULL,
  description_version integer NOT NULL,
  length              real    NOT NULL,           -- weighted count of terms
  retired             boolean NOT NULL DEFAULT false,
  UNIQUE (shop_id, product_id)
);
CREATE TABLE ranking_posting (
  shop_id     integer NOT NULL,
  term        text    NOT NULL COLLATE "C",
  document_id bigint  NOT NULL,
  tf          real    NOT NULL,                   -- weighted term frequency
  length      real    NOT NULL,                   -- of the document, so that a score needs no join
  PRIMARY KEY (shop_id, term, document_id) INCLUDE (tf, length)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05);  -- index-only scans need the visibility map
CREATE INDEX ranking_posting_document ON ranking_posting (document_id);  -- for taking a document's old terms out
CREATE TABLE ranking_term (
  shop_id             integer NOT NULL,
  term                text    NOT NULL COLLATE "C",
  documents           integer NOT NULL,           -- as of now
  published_documents integer NOT NULL DEFAULT 0, -- as of the newest LexicalStatisticsPublished: what scores use
  PRIMARY KEY (shop_id, term)
);
CREATE INDEX ranking_term_trigram ON ranking_term USING gin (term gin_trgm_ops);  -- for misspelt terms
CREATE TABLE ranking_lexicon (
  shop_id      integer PRIMARY KEY,
  documents    integer          NOT NULL,
  total_length double precision NOT NULL,
  languages    text[]           NOT NULL,         -- of the descriptions met so far: queries are stemmed by each
  changes      integer          NOT NULL          -- descriptions indexed or retired since the newest publication
);
-- every publication, and the frequency of each term that a publication changed: an old answer is made from these
CREATE TABLE ranking_publication (
  shop_id      integer NOT NULL,
  position     bigint  NOT NULL,
  documents    integer NOT NULL,
  mean_length  double precision NOT NULL,
  published_at timestamptz NOT NULL,
  PRIMARY KEY (shop_id, position)
);
CREATE TABLE ranking_termpublication (
  shop_id   integer NOT NULL,
  term      text    NOT NULL COLLATE "C",
  position  bigint  NOT NULL,
  documents integer NOT NULL,
  PRIMARY KEY (shop_id, term, position)
);

-- 2. dense: vectors are facts, stored once under the hash of encoder and text; current ones in a table a shop and major
CREATE TABLE ranking_vector (
  hash   bytea  PRIMARY KEY,
  vector vector NOT NULL
);
-- current vectors lie in tables ranking_embedding_<shop>_<major>, made when the first vector of a major arrives and
-- dropped whole when it retires (projections/vectors.py): only a table of one dimension can have an HNSW index
-- which vector each description version has, for making old answers again
CREATE TABLE ranking_descriptionvector (
  shop_id             integer NOT NULL,
  product_id          text    NOT NULL,
  description_version integer NOT NULL,
  major               integer NOT NULL,
  hash                bytea   NOT NULL,
  PRIMARY KEY (shop_id, product_id, description_version, major)
);

CREATE TABLE ranking_retiredproduct (
  shop_id    integer NOT NULL,
  product_id text    NOT NULL,
  PRIMARY KEY (shop_id, product_id)
);

-- 3. weights: decayed sums at a reference time `at`, in seconds; keyed by the shop's own product id, so that feedback for
--    a product that has not arrived yet is waiting for it. `recent_*` are the same sums by a short half-life; `breadth`
--    counts the contexts that rewarded a product, each once, by the age of its newest reward.
CREATE TABLE ranking_shopweight (
  shop_id    integer PRIMARY KEY,
  reward     double precision NOT NULL,
  exposure   double precision NOT NULL,
  at         double precision NOT NULL,
  breadth    double precision NOT NULL DEFAULT 0,
  breadth_at double precision NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE ranking_productweight (
  shop_id    integer NOT NULL,
  product_id text    NOT NULL,
  reward     double precision NOT NULL,
  exposure   double precision NOT NULL,
  at         double precision NOT NULL,
  breadth    double precision NOT NULL DEFAULT 0,
  breadth_at double precision NOT NULL DEFAULT 0,
  PRIMARY KEY (shop_id, product_id)
) WITH (fillfactor = 70);
-- for popular candidates: the broadest products, whatever the time (BREADTH_ORDER in ranking/retrieval.py)
CREATE INDEX ranking_productweight_breadth ON ranking_productweight
  (shop_id, (ln(breadth) + breadth_at / 373946.555::double precision)) WHERE breadth > 0;
CREATE TABLE ranking_context (
  id              bigint PRIMARY KEY,             -- position of the first event that named it
  shop_id         integer NOT NULL,
  kind            text    NOT NULL,
  key             text    NOT NULL,
  reward          double precision NOT NULL,
  exposure        double precision NOT NULL,
  recent_reward   double precision NOT NULL,
  recent_exposure double precision NOT NULL,
  at              double precision NOT NULL,
  UNIQUE (shop_id, kind, key)
) WITH (fillfactor = 70);
CREATE INDEX ranking_context_trigram ON ranking_context USING gin (key gin_trgm_ops);  -- for neighbours by spelling
CREATE TABLE ranking_contextweight (
  shop_id         integer NOT NULL,
  context_id      bigint  NOT NULL,
  product_id      text    NOT NULL,
  reward          double precision NOT NULL,
  exposure        double precision NOT NULL,
  recent_reward   double precision NOT NULL,
  recent_exposure double precision NOT NULL,
  at              double precision NOT NULL,
  rewarded_at     double precision,               -- of the newest reward; NULL: shown, never rewarded
  PRIMARY KEY (context_id, product_id)
) WITH (fillfactor = 70);
CREATE TABLE ranking_operatorweight (
  shop_id     integer NOT NULL,
  product_id  text    NOT NULL,
  context_key text    NOT NULL,                   -- '': every query
  position    bigint  NOT NULL,                   -- all that were ever set are kept: an old answer is made from them
  weight      double precision NOT NULL,
  until       double precision,                   -- seconds; NULL: for good
  PRIMARY KEY (shop_id, product_id, context_key, position)
);

-- 4. near contexts
CREATE TABLE ranking_contextvector (
  shop_id    integer NOT NULL,
  context_id bigint  NOT NULL,
  encoder    text    NOT NULL,                    -- fingerprint of the frozen encoder
  vector     vector  NOT NULL,
  PRIMARY KEY (shop_id, encoder, context_id)
);
CREATE TABLE ranking_contextneighbour (
  shop_id      integer NOT NULL,
  context_id   bigint  NOT NULL,
  neighbour_id bigint  NOT NULL,
  similarity   double precision NOT NULL,
  PRIMARY KEY (context_id, neighbour_id) INCLUDE (similarity)
);
CREATE TABLE ranking_relatedcontext (
  context_id bigint  PRIMARY KEY,                 -- contexts whose neighbours were looked for, found or not
  shop_id    integer NOT NULL
);

-- 5. model versions; artefacts are bytes under their hash, not in the log
CREATE TABLE ranking_modelversion (
  shop_id       integer NOT NULL,
  version       text    NOT NULL,
  major         integer NOT NULL,
  minor         integer NOT NULL,
  parent        text,
  encoder       text    NOT NULL,
  artefact      text    NOT NULL,
  from_position bigint  NOT NULL,
  to_position   bigint  NOT NULL,
  seed          bigint  NOT NULL,
  metrics       jsonb   NOT NULL,
  config        jsonb   NOT NULL,
  state         text    NOT NULL CHECK (state IN ('candidate', 'serving', 'retired', 'refused')),
  reason        text,
  trained_position bigint NOT NULL,
  promoted_position bigint,
  PRIMARY KEY (shop_id, version)
);
CREATE UNIQUE INDEX ranking_modelversion_serving ON ranking_modelversion (shop_id) WHERE state = 'serving';
CREATE TABLE ranking_artefact (
  hash       text  PRIMARY KEY,
  content    bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
