"""The journal's tables, as a list of migrations: each turns a file of one version into the next.

Never change a released migration; add one.

May import: nothing of ours.
"""

MIGRATIONS = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    INSERT INTO meta VALUES ('salt', lower(hex(randomblob(16))));
    CREATE TABLE accounts (
        origin TEXT, key_tag TEXT, account TEXT NOT NULL, PRIMARY KEY (origin, key_tag)
    );
    CREATE TABLE runs (
        run TEXT PRIMARY KEY, identity TEXT, origin TEXT NOT NULL, begun REAL NOT NULL, begun_uptime REAL NOT NULL,
        machine TEXT NOT NULL, boot TEXT NOT NULL, owner TEXT, taken INTEGER NOT NULL DEFAULT 0,
        told INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX runs_by_identity ON runs (identity) WHERE NOT told;
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES runs, number INTEGER NOT NULL, attempt INTEGER NOT NULL,
        key TEXT NOT NULL, key_is_given INTEGER NOT NULL, key_tag TEXT NOT NULL, scope TEXT, body TEXT,
        model TEXT NOT NULL, out TEXT, replaces TEXT, token TEXT NOT NULL, state TEXT NOT NULL,
        created REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0, first_try REAL, first_uptime REAL, last_uptime REAL,
        reserved REAL, charge REAL, job TEXT, made REAL, ended REAL, images INTEGER, files TEXT, error TEXT,
        given_up INTEGER NOT NULL DEFAULT 0,
        UNIQUE (run, number, attempt)
    );
    CREATE INDEX jobs_by_state ON jobs (state, created);
    CREATE INDEX jobs_by_age ON jobs (created);
    CREATE INDEX jobs_by_job ON jobs (job) WHERE job IS NOT NULL;
    """,
    "CREATE INDEX jobs_by_key ON jobs (key)",
    """
    CREATE INDEX jobs_by_scope ON jobs (scope) WHERE scope IS NOT NULL;
    CREATE INDEX jobs_to_thin ON jobs (created) WHERE body IS NOT NULL;
    CREATE INDEX runs_by_folder ON runs (identity);
    CREATE INDEX runs_by_owner ON runs (owner) WHERE owner IS NOT NULL;
    """,
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY, job TEXT NOT NULL, event TEXT NOT NULL, body BLOB, body_sha256 TEXT NOT NULL,
        verified_as TEXT NOT NULL, received REAL NOT NULL, done INTEGER NOT NULL DEFAULT 0, UNIQUE (job, event)
    );
    CREATE INDEX events_to_do ON events (id) WHERE NOT done;
    """,
    "ALTER TABLE jobs ADD COLUMN style TEXT",
)
