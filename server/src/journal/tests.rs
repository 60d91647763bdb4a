use super::*;
use domain::api_key::KeyHash;
use domain::generation::Outcome;
use domain::id::{AccountId, NodeId};
use domain::money::NanoUsd;
use domain::price::Prices;
use domain::slug::ModelSlug;
use domain::time::Micros;
use domain::usage::Usage;
use proptest::prelude::*;

fn generation(id: &str) -> Generation {
    Generation {
        id: GenerationId::stored(id),
        node: NodeId::stored("node_1"),
        account: AccountId::stored("acc_1"),
        key: KeyHash::stored("k"),
        model: ModelSlug::parse("a/b").unwrap(),
        endpoint: "a/b|p".to_owned(),
        provider: "p".to_owned(),
        surface: "chat".to_owned(),
        streamed: true,
        usage: Usage::default(),
        estimated: false,
        cost: NanoUsd::ZERO,
        house_cost: NanoUsd::ZERO,
        prices: Prices::default(),
        outcome: Outcome::Completed,
        finish_reason: None,
        native_finish_reason: None,
        upstream_id: None,
        created: Micros::new(1),
        first_token_us: None,
        duration_us: 0,
        app_name: None,
        app_url: None,
        attempts: Vec::new(),
    }
}

fn ids(generations: &[Generation]) -> Vec<&str> {
    generations.iter().map(|generation| generation.id.as_str()).collect()
}

#[tokio::test]
async fn what_was_appended_is_replayed() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, leftover) = Journal::open(directory.path(), Fsync::Always).unwrap();
    assert!(leftover.settled.is_empty() && leftover.unfinished.is_empty());
    journal.append_durably(Record::Intent(&generation("a"))).await.unwrap();
    journal.append_durably(Record::Intent(&generation("b"))).await.unwrap();
    journal
        .append_durably(Record::Settlement(&generation("a")))
        .await
        .unwrap();
    // The process dies: nothing is dropped in order.
    std::mem::forget(journal);
    let (journal, leftover) = Journal::open(directory.path(), Fsync::Interval(5)).unwrap();
    assert_eq!(
        (ids(&leftover.settled), ids(&leftover.unfinished)),
        (vec!["a"], vec!["b"])
    );
    journal.forget_leftover().unwrap();
    drop(journal);
    let (_journal, leftover) = Journal::open(directory.path(), Fsync::Interval(5)).unwrap();
    assert!(leftover.settled.is_empty() && leftover.unfinished.is_empty());
}

#[test]
fn a_torn_tail_loses_only_itself() {
    let directory = tempfile::tempdir().unwrap();
    let whole: Vec<u8> = ["a", "b"]
        .iter()
        .flat_map(|id| encode(Record::Intent(&generation(id))).unwrap())
        .collect();
    let first = encode(Record::Intent(&generation("a"))).unwrap().len();
    let file = path(directory.path(), 1);
    for length in 0..whole.len() {
        std::fs::write(&file, &whole[..length]).unwrap();
        let expected = usize::from(length >= first);
        assert_eq!(read_records(&file).unwrap().len(), expected, "cut at {length}");
    }
    let mut flipped = whole.clone();
    flipped[first + 20] ^= 1;
    std::fs::write(&file, &flipped).unwrap();
    assert_eq!(read_records(&file).unwrap().len(), 1);
}

#[test]
fn a_file_goes_when_all_its_generations_are_stored() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(directory.path(), Fsync::Interval(5)).unwrap();
    journal.append(Record::Intent(&generation("a"))).unwrap();
    journal.append(Record::Intent(&generation("b"))).unwrap();
    lock(&journal.active).rotate(directory.path()).unwrap();
    journal.append(Record::Settlement(&generation("a"))).unwrap();
    journal.forget(&[GenerationId::stored("a")]);
    assert_eq!(file_numbers(directory.path()).unwrap(), [1, 2]);
    journal.forget(&[GenerationId::stored("b")]);
    assert_eq!(file_numbers(directory.path()).unwrap(), [2]);
}

#[test]
fn slots_remember_the_last_word_and_are_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let progress = Progress::open(&directory.path().join("progress")).unwrap();
    let slot = progress.slot(GenerationId::stored("gen-1-a"));
    slot.write(&Usage {
        prompt: 5,
        completion: 1,
        ..Usage::default()
    })
    .unwrap();
    slot.write(&Usage {
        prompt: 5,
        completion: 2,
        ..Usage::default()
    })
    .unwrap();
    let other = progress.slot(GenerationId::stored("gen-1-b"));
    other
        .write(&Usage {
            prompt: 9,
            completion: 0,
            ..Usage::default()
        })
        .unwrap();
    let read = Progress::open(&directory.path().join("progress"))
        .unwrap()
        .read()
        .unwrap();
    assert_eq!(read[&GenerationId::stored("gen-1-a")].completion, 2);
    assert_eq!(read[&GenerationId::stored("gen-1-b")].prompt, 9);
    drop(slot);
    progress
        .slot(GenerationId::stored("gen-1-c"))
        .write(&Usage::default())
        .unwrap();
    let read = progress.read().unwrap();
    assert!(!read.contains_key(&GenerationId::stored("gen-1-a")) && read.len() == 2);
}

fn borrowed(record: &Record) -> Record<&Generation> {
    match record {
        Record::Intent(generation) => Record::Intent(generation),
        Record::Settlement(generation) => Record::Settlement(generation),
    }
}

/// What a journal with these records says.
fn said(records: &[Record]) -> (Vec<String>, Vec<String>) {
    let leftover = sort_out(records.to_vec());
    let names = |generations: &[Generation]| ids(generations).into_iter().map(str::to_owned).collect();
    (names(&leftover.settled), names(&leftover.unfinished))
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let record = (any::<bool>(), 0..5u8, 0..300usize).prop_map(|(settles, id, length)| {
        let generation = Generation {
            endpoint: "e".repeat(length),
            ..generation(&id.to_string())
        };
        match settles {
            true => Record::Settlement(generation),
            false => Record::Intent(generation),
        }
    });
    prop::collection::vec(record, 1..12)
}

proptest! {
    #[test]
    fn a_journal_cut_at_any_byte_replays_what_was_whole_before_the_cut(records in records(), cut in any::<prop::sample::Index>()) {
        let frames: Vec<Vec<u8>> = records.iter().map(|record| encode(borrowed(record)).unwrap()).collect();
        let bytes = frames.concat();
        let cut = cut.index(bytes.len() + 1);
        let mut end = 0;
        let whole = frames.iter().take_while(|frame| { end += frame.len(); end <= cut }).count();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(path(directory.path(), 1), &bytes[..cut]).unwrap();
        let (journal, leftover) = Journal::open(directory.path(), Fsync::Interval(1_000)).unwrap();
        let found = (
            ids(&leftover.settled).into_iter().map(str::to_owned).collect::<Vec<_>>(),
            ids(&leftover.unfinished).into_iter().map(str::to_owned).collect::<Vec<_>>(),
        );
        prop_assert_eq!(found, said(&records[..whole]));
        // What is written from now on is replayed after it, in a file of its own.
        journal.append(Record::Settlement(&generation("new"))).unwrap();
        drop(journal);
        let (_journal, again) = Journal::open(directory.path(), Fsync::Interval(1_000)).unwrap();
        prop_assert!(ids(&again.settled).contains(&"new"));
        prop_assert_eq!(again.settled.len(), leftover.settled.len() + 1);
    }

    #[test]
    fn a_damaged_byte_ends_the_replay_of_its_file(records in records(), at in any::<prop::sample::Index>(), flip in 1..=255u8) {
        let frames: Vec<Vec<u8>> = records.iter().map(|record| encode(borrowed(record)).unwrap()).collect();
        let mut bytes = frames.concat();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let mut end = 0;
        let before = frames.iter().take_while(|frame| { end += frame.len(); end <= at }).count();
        let directory = tempfile::tempdir().unwrap();
        let file = path(directory.path(), 1);
        std::fs::write(&file, &bytes).unwrap();
        prop_assert_eq!(read_records(&file).unwrap(), &records[..before]);
    }
}
