//! Records that no client of ours would write: they harm nobody.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use flk_log::topic::Topic;

use crate::support::{self, Member, fill, quick};

/// CRC-32C, as a batch of records has it.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

/// A number as records have it.
fn varint(number: i64, into: &mut Vec<u8>) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while left >= 0x80 {
        into.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    into.push(left as u8);
}

fn counted(bytes: &[u8], into: &mut Vec<u8>) {
    varint(bytes.len() as i64, into);
    into.extend(bytes);
}

fn text(name: &str, into: &mut Vec<u8>) {
    into.extend((name.len() as i16).to_be_bytes());
    into.extend(name.as_bytes());
}

/// A batch of one record without a value, with these headers.
fn batch(headers: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut record = vec![0]; // attributes
    varint(0, &mut record); // time and offset, as they differ from the batch's
    varint(0, &mut record);
    varint(-1, &mut record); // no key
    varint(-1, &mut record); // no value
    varint(headers.len() as i64, &mut record);
    for (name, value) in headers {
        counted(name, &mut record);
        counted(value, &mut record);
    }
    let mut checked = Vec::new();
    checked.extend(0_i16.to_be_bytes()); // attributes
    checked.extend(0_i32.to_be_bytes()); // last offset
    checked.extend(0_i64.to_be_bytes()); // first time
    checked.extend(0_i64.to_be_bytes()); // last time
    checked.extend((-1_i64).to_be_bytes()); // no idempotence: id, epoch, sequence
    checked.extend((-1_i16).to_be_bytes());
    checked.extend((-1_i32).to_be_bytes());
    checked.extend(1_i32.to_be_bytes()); // records
    counted(&record, &mut checked);
    let mut rest = Vec::new();
    rest.extend((-1_i32).to_be_bytes()); // leader's epoch
    rest.push(2); // magic
    rest.extend(crc32c(&checked).to_be_bytes());
    rest.extend(checked);
    let mut batch = 0_i64.to_be_bytes().to_vec();
    batch.extend((rest.len() as i32).to_be_bytes());
    batch.extend(rest);
    batch
}

/// Produces a batch as it is (Produce, version 3); the broker's error code.
fn produce(broker: &str, topic: &str, batch: &[u8]) -> i16 {
    let mut request = Vec::new();
    request.extend(0_i16.to_be_bytes()); // Produce
    request.extend(3_i16.to_be_bytes());
    request.extend(7_i32.to_be_bytes()); // which request
    text("test", &mut request);
    request.extend((-1_i16).to_be_bytes()); // no transaction
    request.extend((-1_i16).to_be_bytes()); // acknowledged by all
    request.extend(10_000_i32.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    text(topic, &mut request);
    request.extend(1_i32.to_be_bytes());
    request.extend(0_i32.to_be_bytes()); // partition
    request.extend((batch.len() as i32).to_be_bytes());
    request.extend(batch);
    let mut broker = TcpStream::connect(broker).unwrap();
    broker.set_read_timeout(Some(support::SOON)).unwrap();
    broker.write_all(&(request.len() as i32).to_be_bytes()).unwrap();
    broker.write_all(&request).unwrap();
    let mut length = [0; 4];
    broker.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    broker.read_exact(&mut answer).unwrap();
    // Which request, how many topics, the name, how many partitions, which.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    i16::from_be_bytes([answer[at], answer[at + 1]])
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_headers_that_are_no_text_are_passed_over() {
    let connection = support::connection("headers");
    let topics = support::topics(&connection, 1).await;
    let topic = topics.names.of(Topic::Raw).clone();
    let brokers = flk_servers::shared::kafka().unwrap();
    let forged = batch(&[(b"\xff\xfe", b"x"), (b"request-id", b"r-1"), (b"", b"\xff"), (b"tenant", b"\xff")]);
    let name = topic.clone();
    let code = tokio::task::spawn_blocking(move || produce(brokers.split(',').next().unwrap(), &name, &forged));
    assert_eq!(code.await.unwrap(), 0);
    fill(&connection, &topic, 0, 1..2).await;

    let member = Member::start(&connection, quick(&connection, &topics, Topic::Raw));
    member.resume().await;
    let record = member.record().await;
    assert_eq!(record.headers.request_id.as_deref(), Some("r-1"));
    assert_eq!(record.headers.tenant.as_deref(), Some("\u{fffd}"), "kept, and no tenant");
    assert!(record.value.is_empty() && !record.has_value);
    member.done(&record);
    assert_eq!(member.record().await.offset, 1, "and the next one comes");
    member.close().await;
}
