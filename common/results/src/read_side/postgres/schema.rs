//! The tables, made and changed at the start of whoever publishes, and the statements on them.

use tokio_postgres::{Client, Error};

use super::{Access, connection::failed};
use crate::read_side::{Reason, link::Failed};

/// What each version adds to the one before. Never changed once it was released: a change is one more.
/// All of them together have the time of one attempt to connect; what takes longer on tables that are
/// full has to be done in another way.
const VERSIONS: &[&str] = &[include_str!("schema.sql")];

/// Held while the schema is looked at and changed: sinks start at the same time. A number that
/// nobody else is likely to have chosen.
const LOCK: i64 = 0x666c_6b20_7363_6865;

/// Values and marker of one moment, and of whom.
pub(super) const READ: &str = "SELECT pg_is_in_recovery(), m.source, m.next, m.goal, r.value, r.key_id \
     FROM (SELECT) one LEFT JOIN flk_markers m ON m.partition = $1 \
     LEFT JOIN flk_results r ON r.tenant = $2 AND r.pcs_id = $3 AND r.expires_at > now()";

pub(super) const PUBLISH: &str = "SELECT marker_next, marker_goal FROM flk_publish($1, $2, $3, $4, $5, $6, $7, $8, \
     $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)";

/// Rows that somebody else is at are left for the next time.
pub(super) const EXPIRE: &str = "DELETE FROM flk_results WHERE (tenant, pcs_id) IN (SELECT tenant, pcs_id FROM \
     flk_results WHERE expires_at <= now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)";

/// Checks that the schema is the one that this version knows; whoever publishes makes it so.
pub(super) async fn check(client: &Client, access: Access) -> Result<(), Failed> {
    check_for(client, access, VERSIONS).await
}

async fn check_for(client: &Client, access: Access, versions: &[&str]) -> Result<(), Failed> {
    let there = version(client).await.map_err(|why| failed(&why))?;
    let known = versions.len();
    if there == known {
        return Ok(());
    }
    if there > known {
        let detail = format!(
            "the schema in Postgres is of version {there}, and this flk knows {known}: update it to the release that \
             the dedup-sinks have"
        );
        return Err(Failed::broken(Reason::Setup, detail));
    }
    match access {
        Access::Publish => migrate(client, versions).await,
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

async fn migrate(client: &Client, versions: &[&str]) -> Result<(), Failed> {
    let done = async {
        // A change may take longer than a batch.
        client.batch_execute("BEGIN; SET LOCAL statement_timeout = 0").await?;
        client.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
        client.batch_execute("CREATE TABLE IF NOT EXISTS flk_schema (version integer PRIMARY KEY)").await?;
        let there = version(client).await?;
        for (version, sql) in (1_i32..).zip(versions).skip(there) {
            client.batch_execute(sql).await?;
            client.execute("INSERT INTO flk_schema VALUES ($1)", &[&version]).await?;
        }
        client.batch_execute("COMMIT").await
    };
    // On an error the session is given up, and what it began with it.
    done.await.map_err(|why| failed(&why))
}

#[cfg(test)]
mod tests {
    use tokio_postgres::NoTls;

    use super::*;
    use crate::read_side::ReadSideError;

    /// A session in a schema of its own.
    async fn session() -> Client {
        let url = flk_servers::shared::postgres().unwrap();
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let name = flk_servers::unique("schema");
        client.batch_execute(&format!("CREATE SCHEMA \"{name}\"; SET search_path = \"{name}\"")).await.unwrap();
        client
    }

    async fn why(client: &Client, access: Access, versions: &[&str]) -> String {
        let failed = check_for(client, access, versions).await.unwrap_err();
        let ReadSideError::Away { reason: Reason::Setup, detail } = failed.error else { panic!("{failed:?}") };
        detail
    }

    const FIRST: &str = "CREATE TABLE t (a int); INSERT INTO t VALUES (1)";
    const SECOND: &str = "ALTER TABLE t ADD COLUMN b int DEFAULT 2";

    #[tokio::test]
    async fn an_older_version_is_brought_up_to_date_with_what_is_in_it() {
        let client = session().await;
        check_for(&client, Access::Publish, &[FIRST]).await.unwrap();
        check_for(&client, Access::Publish, &[FIRST]).await.unwrap();
        let detail = why(&client, Access::Read, &[FIRST, SECOND]).await;
        assert!(detail.contains("older version") && detail.contains("dedup-sink"), "{detail}");
        check_for(&client, Access::Publish, &[FIRST, SECOND]).await.unwrap();
        check_for(&client, Access::Read, &[FIRST, SECOND]).await.unwrap();
        let row = client.query_one("SELECT count(*), sum(a), sum(b) FROM t", &[]).await.unwrap();
        assert_eq!([0, 1, 2].map(|n| row.get::<_, i64>(n)), [1, 1, 2]);
        let row = client.query_one("SELECT count(*), max(version) FROM flk_schema", &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i32>(1)), (2, 2));
    }

    #[tokio::test]
    async fn a_newer_one_is_refused_in_words() {
        let client = session().await;
        check_for(&client, Access::Publish, &[FIRST, SECOND]).await.unwrap();
        for access in [Access::Publish, Access::Read] {
            let detail = why(&client, access, &[FIRST]).await;
            assert!(detail.contains("version 2") && detail.contains("knows 1: update"), "{detail}");
        }
    }

    #[tokio::test]
    async fn a_change_that_fails_leaves_what_was() {
        let client = session().await;
        check_for(&client, Access::Publish, &[FIRST]).await.unwrap();
        let broken = "ALTER TABLE t ADD COLUMN c int; SELECT no_such_function()";
        check_for(&client, Access::Publish, &[FIRST, broken]).await.unwrap_err();
        client.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(version(&client).await.unwrap(), 1);
        check_for(&client, Access::Publish, &[FIRST, SECOND]).await.unwrap();
    }

    #[tokio::test]
    async fn sinks_that_start_together_do_not_hinder_each_other() {
        let url = flk_servers::shared::postgres().unwrap();
        let one = session().await;
        let path: String = one.query_one("SHOW search_path", &[]).await.unwrap().get(0);
        let mut started = Vec::new();
        for _ in 0..4 {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
            tokio::spawn(connection);
            client.batch_execute(&format!("SET search_path = {path}")).await.unwrap();
            started.push(tokio::spawn(async move { check_for(&client, Access::Publish, &[FIRST, SECOND]).await }));
        }
        for one in started {
            one.await.unwrap().unwrap();
        }
        assert_eq!(version(&one).await.unwrap(), 2);
    }
}
