//! How long the read side takes, as everybody sees it who works with it.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use flk_contract::Tenant;
use flk_results::read_side::{Batch, Lookup, Published, ReadSide, ReadSideError, Warning};
use flk_service::{Metrics, metrics::Op};

/// A read side whose calls are timed, also those that come to nothing.
pub(super) struct Timed {
    pub(super) inner: Arc<dyn ReadSide>,
    pub(super) metrics: Arc<Metrics>,
}

#[async_trait]
impl ReadSide for Timed {
    async fn publish(&self, batch: &Batch<'_>) -> Result<Published, ReadSideError> {
        let since = Instant::now();
        let published = self.inner.publish(batch).await;
        self.metrics.dedup_op(Op::Publish, since.elapsed());
        published
    }

    async fn read(&self, tenant: &Tenant, pcs_id: &str) -> Result<Lookup, ReadSideError> {
        let since = Instant::now();
        let read = self.inner.read(tenant, pcs_id).await;
        self.metrics.dedup_op(Op::Lookup, since.elapsed());
        read
    }

    async fn expire(&self, limit: u32) -> Result<u64, ReadSideError> {
        self.inner.expire(limit).await
    }

    async fn health(&self) -> Result<Vec<Warning>, ReadSideError> {
        self.inner.health().await
    }
}
