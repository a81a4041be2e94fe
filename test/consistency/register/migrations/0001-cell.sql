CREATE TABLE cell (bucket smallint NOT NULL, name text NOT NULL, version int NOT NULL, PRIMARY KEY (bucket, name));
-- A read model of the same.
CREATE TABLE mirror (bucket smallint NOT NULL, name text NOT NULL, version int NOT NULL, PRIMARY KEY (bucket, name));
