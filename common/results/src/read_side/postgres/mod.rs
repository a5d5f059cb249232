//! The read side in Postgres, for people who want SQL: a row an id, a marker row a partition, both
//! changed by one function in one transaction.
//!
//! The schema is made by whoever publishes, in the first schema of the search path. Statements are
//! prepared once a session, so a pooler in between has to pool sessions.

mod connection;
mod rows;
mod schema;

use core::time::Duration;
use std::sync::Arc;

use async_trait::async_trait;
use flk_contract::Tenant;
use tokio::time::Instant;

use self::{
    connection::{Server, Session, failed},
    rows::Rows,
};
use super::{
    BadSetting, Batch, Lookup, Published, ReadSide, ReadSideError, Reason, Subject, Warning,
    link::{Failed, Link},
    marker::Marker,
    value::{self, Decoded},
};
use crate::codec::IdKey;

/// Sessions of one process for batches: one of them waits for nobody else's partition, and a few are
/// enough, for each takes one batch after the other.
const WRITERS: usize = 4;

/// What a read side is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To read; the tables are somebody else's to make.
    Read,
    /// To publish as well: makes and changes the tables.
    Publish,
}

/// How Postgres is reached and used.
#[derive(Clone)]
pub struct PostgresSettings {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, or `host=… user=…`. sslmode is disable, prefer
    /// (the default; require, where certificates are given) or require; they are always checked.
    pub connection: String,
    /// The authority that signed the server's certificate, PEM; else what `sslrootcert` of the
    /// connection names, else the public ones.
    pub ca: Option<Vec<u8>>,
    /// Certificate and key that the server asks clients for, PEM; else what `sslcert` and `sslkey` of
    /// the connection name.
    pub client_certificate: Option<(Vec<u8>, String)>,
    /// What it is used for.
    pub access: Access,
    /// For one call, from its beginning to its answer.
    pub deadline: Duration,
}

impl PostgresSettings {
    /// A Postgres, with what is usual.
    pub fn new(connection: impl Into<String>, access: Access) -> Self {
        Self {
            connection: connection.into(),
            ca: None,
            client_certificate: None,
            access,
            deadline: Duration::from_millis(500),
        }
    }
}

impl core::fmt::Debug for PostgresSettings {
    /// Without the connection, which may hold a password.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { access, deadline, .. } = self;
        f.debug_struct("PostgresSettings").field("access", access).field("deadline", deadline).finish_non_exhaustive()
    }
}

/// A read side in Postgres. It connects when it is first asked for something.
pub struct PostgresReadSide {
    subject: Subject,
    reads: Link<Server>,
    writes: Vec<Link<Server>>,
    /// Batches do not wait for what is removed.
    expiry: Link<Server>,
    source: Box<str>,
    deadline: Duration,
}

impl PostgresReadSide {
    /// A read side about `subject`. Nothing is sent yet: Postgres may be away.
    ///
    /// # Errors
    /// [`BadSetting`].
    pub fn new(subject: Subject, settings: &PostgresSettings) -> Result<Self, BadSetting> {
        if i32::try_from(subject.partitions.get()).is_err() {
            return Err(BadSetting(format!("there are no {} partitions of a topic", subject.partitions)));
        }
        if settings.deadline.is_zero() {
            return Err(BadSetting("the deadline of Postgres has to be longer than nothing".into()));
        }
        let link = || Server::new(settings).map(|server| Link::new(server, settings.deadline));
        let writes = (0..WRITERS).map(|_| link()).collect::<Result<_, _>>()?;
        let source = subject.source().into();
        Ok(Self { subject, reads: link()?, writes, expiry: link()?, source, deadline: settings.deadline })
    }

    fn until(&self) -> Instant {
        Instant::now() + self.deadline
    }

    /// The session for a partition's batches: they keep their order.
    fn writes(&self, partition: u32) -> &Link<Server> {
        self.writes.get(partition as usize % WRITERS).unwrap_or(&self.reads)
    }
}

#[async_trait]
impl ReadSide for PostgresReadSide {
    async fn publish(&self, batch: &Batch<'_>) -> Result<Published, ReadSideError> {
        let admitted = self.subject.admit(batch)?;
        let rows = Rows::new(&self.subject, &self.source, batch, &admitted);
        let publish = |session: Arc<Session>| async move {
            let statement = session.publish.as_ref().ok_or_else(only_read)?;
            let row = session.client.query_one(statement, &rows.parameters()).await.map_err(|why| failed(&why))?;
            let get = |column| row.try_get::<_, i64>(column).map_err(|why| failed(&why));
            Ok(Marker { next: get(0)?, goal: get(1)? }.published())
        };
        self.writes(batch.partition).call(self.until(), publish).await
    }

    async fn read(&self, tenant: &Tenant, pcs_id: &str) -> Result<Lookup, ReadSideError> {
        // Such an id never settles, whatever Postgres knows.
        if IdKey::new(tenant, pcs_id).is_none() {
            return Ok(Lookup::Miss { ready: true });
        }
        let partition = self.subject.partition(tenant, pcs_id).cast_signed();
        let read = |session: Arc<Session>| async move {
            let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&partition, &tenant.as_str(), &pcs_id];
            let row = session.client.query_one(&session.read, &parameters).await.map_err(|why| failed(&why))?;
            self.found(&row, tenant, pcs_id)
        };
        self.reads.call(self.until(), read).await
    }

    async fn expire(&self, limit: u32) -> Result<u64, ReadSideError> {
        let expire = |session: Arc<Session>| async move {
            let statement = session.expire.as_ref().ok_or_else(only_read)?;
            session.client.execute(statement, &[&i64::from(limit)]).await.map_err(|why| failed(&why))
        };
        self.expiry.call(self.until(), expire).await
    }

    async fn health(&self) -> Result<Vec<Warning>, ReadSideError> {
        let ask = |session: Arc<Session>| async move {
            let row = session.client.query_one("SELECT pg_is_in_recovery()", &[]).await;
            primary(&row.map_err(|why| failed(&why))?)
        };
        self.reads.call(self.until(), ask).await?;
        Ok(Vec::new())
    }
}

impl PostgresReadSide {
    /// What a row of [`schema::READ`] says.
    fn found(&self, row: &tokio_postgres::Row, tenant: &Tenant, pcs_id: &str) -> Result<Lookup, Failed> {
        fn get<'a, T: tokio_postgres::types::FromSql<'a>>(
            row: &'a tokio_postgres::Row,
            column: usize,
        ) -> Result<Option<T>, Failed> {
            row.try_get(column).map_err(|why| failed(&why))
        }
        primary(row)?;
        if let Some(stored) = get::<&[u8]>(row, 4)? {
            match value::decode(&self.subject, tenant.clone(), pcs_id.into(), stored) {
                Ok(Decoded::Settled(settled)) => return Ok(Lookup::Hit(settled)),
                Ok(Decoded::Apart(_, mut settled)) => {
                    settled.facts.key_id = get::<&str>(row, 5)?.map(Into::into);
                    return Ok(Lookup::Hit(settled));
                }
                Ok(Decoded::OfAnother) => {}
                Err(why) => {
                    let detail = format!("a stored result can not be read: {why}; is everybody of one version?");
                    return Err(Failed::kept(Reason::Setup, detail));
                }
            }
        }
        let ours = get::<&str>(row, 1)? == Some(&*self.source);
        let marker = get(row, 2)?.zip(get(row, 3)?).filter(|_| ours);
        Ok(Lookup::Miss { ready: marker.is_some_and(|(next, goal)| Marker { next, goal }.published().ready) })
    }
}

/// What a replica says is not told.
fn primary(row: &tokio_postgres::Row) -> Result<(), Failed> {
    match row.try_get(0) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Failed::broken(Reason::Replica, "who answers is a replica; the primary is needed")),
        Err(why) => Err(failed(&why)),
    }
}

fn only_read() -> Failed {
    Failed::kept(Reason::Setup, "this read side was set up to read; whoever publishes says so")
}
