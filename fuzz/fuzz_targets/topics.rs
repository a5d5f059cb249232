//! Any bytes on Kafka's topics: whoever may produce there may write anything. What is read is written again and
//! read as the same; headers are within their bounds.

#![no_main]

use flk_contract::limits::TENANT_BYTES_MAX;
use flk_log::topic::{Headers, Refused, Reply, ResultEntry, Topic, Unencodable, Verified};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &[u8]| {
    if let Ok(read) = Verified::decode(None, value) {
        again(Verified::encode(&read.settled), |bytes| assert_eq!(Verified::decode(None, bytes).as_ref(), Ok(&read)));
    }
    if let Ok(read) = ResultEntry::decode(None, value) {
        let written = ResultEntry::encode(&read.settled, read.verified);
        again(written, |bytes| assert_eq!(ResultEntry::decode(None, bytes).as_ref(), Ok(&read)));
    }
    if let Ok(read) = Refused::decode(None, value) {
        again(read.encode(), |bytes| assert_eq!(Refused::decode(None, bytes).as_ref(), Ok(&read)));
    }
    if let Ok(read) = Reply::decode(None, value) {
        let written = Reply::encode(&read.decided, &read.wal, read.reply_id);
        again(written, |bytes| assert_eq!(Reply::decode(None, bytes).as_ref(), Ok(&read)));
    }
    headers(value);
});

fn again(written: Result<Vec<u8>, Unencodable>, check: impl FnOnce(&[u8])) {
    match written {
        Ok(bytes) => check(&bytes),
        // What came may have been shorter: with fewer escapes, or without a reason of ours.
        Err(Unencodable::TooLong(_)) => {}
        Err(why) => panic!("what was read can not be written: {why}"),
    }
}

/// A header a line, name and value with a colon between.
fn headers(text: &[u8]) {
    let pairs = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((std::str::from_utf8(&line[..colon]).ok()?, &line[colon + 1..]))
    });
    let read = Headers::parse(pairs);
    assert!(read.request_id.as_ref().is_none_or(|id| (1..=64).contains(&id.len())));
    assert!(read.tenant.as_ref().is_none_or(|tenant| tenant.len() <= TENANT_BYTES_MAX + 4));
    assert!(read.reply.is_none_or(|to| to.partition >= 0));
    let written: Vec<_> = read.encode(Topic::Raw);
    let same = Headers::parse(written.iter().map(|(name, value)| (*name, &**value)));
    assert_eq!(same, read, "what is carried on is read as the same");
}
