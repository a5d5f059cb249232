//! The two GETs: what an id is settled as, and what became of a record.

use core::str::FromStr;

use axum::{
    RequestPartsExt as _,
    body::Body,
    extract::Path,
    http::{Response, StatusCode, request::Parts},
};
use flk_contract::{limits::PCS_ID_BYTES_MAX, settle::stands, wire::ResultBody};
use tokio::time::timeout;

use crate::{
    answer,
    app::Shared,
    incoming,
    line::Line,
    pipeline::Away,
    refusal::{Kind, Refusal},
};

/// `GET /v1/pcs/{pcs_id}`
pub(crate) async fn result(
    shared: &Shared,
    parts: &mut Parts,
    line: &mut Line<'_>,
) -> Result<(Response<Body>, &'static str), Refusal> {
    let tenant = incoming::tenant_named(&parts.headers)?;
    line.known.tenant = Some(tenant.clone());
    let not_settled = || Refusal::new(Kind::NotSettled);
    // What can not be an id is none.
    let Path(pcs_id) = parts.extract::<Path<String>>().await.map_err(|_| not_settled())?;
    if pcs_id.len() > PCS_ID_BYTES_MAX {
        return Err(not_settled());
    }
    let settled = in_time(shared, shared.pipeline.result(&tenant, &pcs_id)).await?;
    let now = shared.pipeline.now();
    let settled = settled.filter(|settled| stands(settled.origin.appended_at, now)).ok_or_else(not_settled)?;
    line.known.pcs_id = Some(settled.facts.pcs_id.clone());
    Ok((answer::json(StatusCode::OK, &ResultBody::settled(&settled))?, settled.code.as_str()))
}

/// What the read side says, if it says anything in time.
async fn in_time<T>(shared: &Shared, asked: impl Future<Output = Result<T, Away>>) -> Result<T, Refusal> {
    match timeout(shared.limits.answer, asked).await {
        Ok(said) => Ok(said?),
        Err(_) => Err(Refusal::new(Kind::ResultsAway).cause("the read side did not answer in time")),
    }
}

/// `GET /v1/records/{partition}/{offset}`
pub(crate) async fn record(
    shared: &Shared,
    parts: &mut Parts,
    line: &mut Line<'_>,
) -> Result<(Response<Body>, &'static str), Refusal> {
    let nothing = || Refusal::new(Kind::NoSuchRecord);
    let Path((partition, offset)) = parts.extract::<Path<(String, String)>>().await.map_err(|_| nothing())?;
    let (partition, offset) = (number(&partition).ok_or_else(nothing)?, number(&offset).ok_or_else(nothing)?);
    let record = in_time(shared, shared.pipeline.record(partition, offset)).await?.ok_or_else(nothing)?;
    line.known.state = Some(record.state);
    let code = record.code.map_or("pending", |code| code.as_str());
    Ok((answer::json(StatusCode::OK, &record)?, code))
}

/// A number as this service writes it, digits without a leading zero: a record has one path. What
/// is written otherwise can not be a place, and holds no record.
fn number<N: FromStr>(text: &str) -> Option<N> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_in_one_way() {
        for (text, expected) in [("0", 0), ("7", 7), ("10", 10), ("9223372036854775807", i64::MAX)] {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        for text in ["", "+1", "-0", "-1", "00", "01", " 1", "1 ", "1_0", "0x1", "9223372036854775808", "\u{661}"] {
            assert_eq!(number::<i64>(text), None, "{text}");
        }
        assert_eq!(number::<i32>("2147483648"), None);
    }
}
