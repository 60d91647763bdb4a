use super::*;
use domain::api_key::KeyHash;
use domain::generation::Outcome;
use domain::id::{AccountId, NodeId};
use domain::money::NanoUsd;
use domain::price::Prices;
use domain::slug::ModelSlug;
use domain::time::Micros;
use domain::usage::Usage;

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
    journal.append_durably(&Record::Intent(generation("a"))).await.unwrap();
    journal.append_durably(&Record::Intent(generation("b"))).await.unwrap();
    journal
        .append_durably(&Record::Settlement(generation("a")))
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
        .flat_map(|id| encode(&Record::Intent(generation(id))).unwrap())
        .collect();
    let first = encode(&Record::Intent(generation("a"))).unwrap().len();
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
    journal.append(&Record::Intent(generation("a"))).unwrap();
    journal.append(&Record::Intent(generation("b"))).unwrap();
    lock(&journal.active).rotate(directory.path()).unwrap();
    journal.append(&Record::Settlement(generation("a"))).unwrap();
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
