//! Hash tags: all keys of one partition lie in one slot of a Redis cluster, and the partitions are
//! spread evenly over all slots.
//!
//! A script may touch keys of one slot only, so a partition's keys share what stands in braces. The
//! partition's number itself would do for that, but 48 numbers fall into slots by chance: with three
//! nodes one would hold 20 partitions and another 12. So each partition gets its own P-th part of
//! the slots, and for a tag the least number that falls into it. Pure, and fixed for ever: another
//! tag would be another place.

use core::num::NonZeroU32;

/// How many slots a Redis cluster has.
pub const SLOTS: u16 = 16384;

/// CRC-16/XMODEM, by which Redis chooses slots: polynomial 0x1021, from 0, high bit first.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

/// The slot of keys with this between their braces.
pub fn slot(tag: &str) -> u16 {
    crc16(tag.as_bytes()) % SLOTS
}

/// The hash tag of every partition, by its number.
pub fn tags(partitions: NonZeroU32) -> Vec<Box<str>> {
    // More partitions than slots share them.
    let parts = partitions.get().min(SLOTS.into());
    let mut of_part: Vec<Option<Box<str>>> = vec![None; parts as usize];
    let mut missing = parts;
    for number in 0_u64.. {
        if missing == 0 {
            break;
        }
        let tag = number.to_string();
        let part = u32::from(slot(&tag)) * parts / u32::from(SLOTS);
        if let Some(free @ None) = of_part.get_mut(part as usize) {
            *free = Some(tag.into());
            missing -= 1;
        }
    }
    let of_part: Vec<_> = of_part.into_iter().flatten().collect();
    let part = |partition| (u64::from(partition) * u64::from(parts) / u64::from(partitions.get())) as usize;
    (0..partitions.get()).filter_map(|partition| of_part.get(part(partition)).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn tags_of(partitions: u32) -> Vec<Box<str>> {
        tags(NonZeroU32::new(partitions).unwrap())
    }

    #[test]
    fn the_checksum_is_the_one_that_redis_uses() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // From Redis' own documents.
        assert_eq!(slot("foo"), 12182);
        assert_eq!(slot(""), 0);
    }

    #[test]
    fn each_partition_lies_in_its_own_part_of_the_slots() {
        for partitions in [1, 2, 3, 5, 12, 48, 100, 1000, 16384] {
            let tags = tags_of(partitions);
            assert_eq!(tags.len(), partitions as usize);
            for (partition, tag) in (0..).zip(&tags) {
                assert_eq!(u32::from(slot(tag)) * partitions / u32::from(SLOTS), partition, "{tag} of {partitions}");
            }
        }
        let many = tags_of(20_000);
        assert_eq!(many.len(), 20_000);
        let slots: BTreeSet<_> = many.iter().map(|tag| slot(tag)).collect();
        assert_eq!(slots.len(), usize::from(SLOTS), "every slot is used");
    }

    #[test]
    fn nodes_with_equal_shares_of_slots_hold_equal_shares_of_partitions() {
        for nodes in 1..=12_u32 {
            let mut held = vec![0; nodes as usize];
            for tag in tags_of(48) {
                held[(u32::from(slot(&tag)) * nodes / u32::from(SLOTS)) as usize] += 1;
            }
            let (least, most) = (held.iter().min().unwrap(), held.iter().max().unwrap());
            // Where a node ends within a partition's part of the slots, the tag is on the one side or the other.
            let uneven = if 48 % nodes == 0 { 0 } else { 3 };
            assert!(most - least <= uneven, "{nodes} nodes hold {held:?}");
        }
    }

    #[test]
    fn tags_are_fixed_for_ever() {
        let tags = tags_of(48);
        let all = tags.join(" ");
        assert_eq!(
            all,
            "10 18 263 25 3 7 61 65 162 50 140 43 11 19 262 24 2 33 68 60 77 51 141 42 \
             12 106 115 27 1 5 63 67 74 52 49 41 13 107 114 132 0 4 62 66 75 53 48 40"
        );
    }
}
