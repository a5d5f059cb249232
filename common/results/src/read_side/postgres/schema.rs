//! The tables, made and changed at the start of whoever publishes, and the statements on them.

use tokio_postgres::{Client, Error};

use super::{Access, connection::failed};
use crate::read_side::{Reason, link::Failed};

/// What each version adds to the one before. Never changed once it was released: a change is one more.
const VERSIONS: [&str; 1] = [include_str!("schema.sql")];

/// Held while the schema is looked at and changed: sinks start at the same time. A number that
/// nobody else is likely to have chosen.
const LOCK: i64 = 0x666c_6b20_7363_6865;

/// Values and marker of one moment, and of whom.
pub(super) const READ: &str = "SELECT pg_is_in_recovery(), m.log, m.next, m.goal, r.value, r.key_id \
     FROM (SELECT) one LEFT JOIN flk_markers m ON m.partition = $1 \
     LEFT JOIN flk_results r ON r.tenant = $2 AND r.pcs_id = $3 AND r.expires_at > now()";

pub(super) const PUBLISH: &str = "SELECT marker_next, marker_goal FROM flk_publish($1, $2, $3, $4, $5, $6, $7, $8, \
     $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)";

/// Rows that somebody else is at are left for the next time.
pub(super) const EXPIRE: &str = "DELETE FROM flk_results WHERE (tenant, pcs_id) IN (SELECT tenant, pcs_id FROM \
     flk_results WHERE expires_at <= now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)";

/// Checks that the schema is the one that this version knows; whoever publishes makes it so.
pub(super) async fn check(client: &Client, access: Access) -> Result<(), Failed> {
    let there = version(client).await.map_err(|why| failed(&why))?;
    let known = VERSIONS.len();
    if there == known {
        return Ok(());
    }
    if there > known {
        let detail = format!(
            "the schema in Postgres is of version {there}, and this flk knows {known}: update it to the version that \
             its sinks have"
        );
        return Err(Failed::broken(Reason::Setup, detail));
    }
    match access {
        Access::Publish => migrate(client).await,
        Access::Read => Err(Failed::broken(
            Reason::Setup,
            "the tables are not in Postgres yet, or of an older version: the dedup-sink makes them when it starts",
        )),
    }
}

async fn version(client: &Client) -> Result<usize, Error> {
    if client.query_one("SELECT to_regclass('flk_schema') IS NULL", &[]).await?.try_get(0)? {
        return Ok(0);
    }
    let version: i32 = client.query_one("SELECT coalesce(max(version), 0) FROM flk_schema", &[]).await?.try_get(0)?;
    // A negative one was written by nobody: it is taken for one that is too new.
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

async fn migrate(client: &Client) -> Result<(), Failed> {
    let done = async {
        // Creating an index on a table that is full takes longer than a batch.
        client.batch_execute("BEGIN; SET LOCAL statement_timeout = 0").await?;
        client.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
        client.batch_execute("CREATE TABLE IF NOT EXISTS flk_schema (version integer PRIMARY KEY)").await?;
        let there = version(client).await?;
        for (version, sql) in (1_i32..).zip(VERSIONS).skip(there) {
            client.batch_execute(sql).await?;
            client.execute("INSERT INTO flk_schema VALUES ($1)", &[&version]).await?;
        }
        client.batch_execute("COMMIT").await
    };
    // On an error the session is given up, and what it began with it.
    done.await.map_err(|why| failed(&why))
}
