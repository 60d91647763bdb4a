use crate::fixtures::{NOW, generation, key, node, proof, settle, user};
use domain::catalog::CancelPolicy;
use domain::generation::{Generation, Outcome};
use domain::time::Micros;
use domain::usage::Usage;
use store::cuts::{self, RecordLine};
use store::keys::Key;

/// Answered to its end, or left after ten tokens.
fn answer(number: u64, key: &Key, is_left: bool) -> Generation {
    Generation {
        upstream_id: Some(format!("chatcmpl-{number}")),
        outcome: if is_left {
            Outcome::Cancelled
        } else {
            Outcome::Completed
        },
        finish_reason: (!is_left).then(|| "stop".to_owned()),
        usage: Usage {
            prompt: 1,
            completion: if is_left { 10 } else { 2_000 },
            ..Usage::default()
        },
        ..generation(&format!("gen-{number}"), key, 1)
    }
}

fn record(number: u64, completion: u64) -> RecordLine {
    RecordLine {
        provider: "acme".to_owned(),
        upstream_id: format!("chatcmpl-{number}"),
        completion,
    }
}

on_both! {
    async fn records_of_answers_that_were_left_tell_what_their_provider_does(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        let answers: Vec<Generation> = (0..50).map(|number| answer(number, &made, number < 25)).collect();
        settle(&db, &node("a"), &answers).await;
        let mut records: Vec<RecordLine> = (0..25).map(|number| record(number, 30)).collect();
        // Answered to its end, and never heard of.
        records.extend([record(40, 2_000), record(99, 5)]);
        let mut tx = db.begin().await;
        assert_eq!(cuts::import(&mut tx, &records, NOW).await.unwrap(), 25);
        let found = cuts::evidence(&mut tx, NOW).await.unwrap();
        assert_eq!((found.len(), found[0].cuts, found[0].telling, found[0].billed_on), (1, 25, 25, 0));
        assert_eq!(found[0].verdict(), Some(CancelPolicy::Stops));
        // The provider's later word stands.
        let later: Vec<RecordLine> = (0..25).map(|number| record(number, 2_000)).collect();
        cuts::import(&mut tx, &later, NOW).await.unwrap();
        let found = cuts::evidence(&mut tx, NOW).await.unwrap();
        assert_eq!((found[0].cuts, found[0].billed_on), (25, 25));
        assert_eq!(found[0].verdict(), Some(CancelPolicy::BillsToEnd));
        assert_eq!(cuts::evidence(&mut tx, NOW.plus(91 * Micros::DAY)).await.unwrap(), []);
        tx.commit().await.unwrap();
        proof(&db).await;
    }

    async fn an_answer_that_was_nearly_over_tells_nothing(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        let left: Vec<Generation> = (0..25).map(|number| answer(number, &made, true)).collect();
        settle(&db, &node("a"), &left).await;
        let mut tx = db.begin().await;
        let records: Vec<RecordLine> = (0..25).map(|number| record(number, 12)).collect();
        cuts::import(&mut tx, &records, NOW).await.unwrap();
        let found = cuts::evidence(&mut tx, NOW).await.unwrap();
        assert_eq!((found[0].cuts, found[0].telling, found[0].verdict()), (25, 0, None));
    }
}
