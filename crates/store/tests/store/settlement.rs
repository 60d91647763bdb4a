use crate::fixtures::{
    NOW, balance, customer, escrow, failed_generation, generation, grant, key, nano, node, proof, provider, settle,
    take, transfer_id, user,
};
use domain::generation::{Generation, Outcome};
use domain::ledger::LedgerAccount;
use domain::money::NanoUsd;
use domain::usage::Usage;
use store::StoreError;
use store::ledger::LedgerError;
use store::settlement;

on_both! {
    async fn a_batch_charges_each_generation_to_the_escrow(db: Db) {
        let ada = user(&db, "ada").await;
        let bob = user(&db, "bob").await;
        let keys = [key(&db, &ada, "ka", None, None).await, key(&db, &bob, "kb", None, None).await];
        let a = node("a");
        for user in [&ada, &bob] {
            grant(&db, user, 1_000).await;
            take(&db, &a, user, 500).await;
        }
        let other = Generation { provider: "other".to_owned(), ..generation("gen-4", &keys[1], 7) };
        let batch =
            [generation("gen-1", &keys[0], 10), generation("gen-2", &keys[1], 20), generation("gen-3", &keys[0], 5), other];
        let settled = settle(&db, &a, &batch).await;
        let ids: Vec<&str> = settled.new.iter().map(domain::id::GenerationId::as_str).collect();
        assert_eq!((ids, settled.overruns), (vec!["gen-1", "gen-2", "gen-3", "gen-4"], vec![]));
        assert_eq!(balance(&db, &escrow(&a, &ada)).await, 485);
        assert_eq!(balance(&db, &escrow(&a, &bob)).await, 473);
        assert_eq!(balance(&db, &provider()).await, 35);
        assert_eq!(balance(&db, &LedgerAccount::ProviderPayable("other".to_owned())).await, 7);
        let proof = proof(&db).await;
        assert_eq!((proof.generations, proof.provider_total), (4, nano(42)));
    }

    async fn no_text_of_a_provider_keeps_others_from_being_settled(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        let nul = Some("st\0p".to_owned());
        let odd = Generation {
            finish_reason: nul.clone(),
            native_finish_reason: nul.clone(),
            upstream_id: nul.clone(),
            app_name: nul.clone(),
            app_url: nul,
            ..generation("gen-1", &made, 3)
        };
        assert_eq!(settle(&db, &node("a"), &[odd, generation("gen-2", &made, 4)]).await.new.len(), 2);
        proof(&db).await;
    }

    async fn the_same_batch_settles_once(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", Some(1_000), None).await;
        grant(&db, &ada, 1_000).await;
        take(&db, &node("a"), &ada, 1_000).await;
        let batch = [generation("gen-1", &made, 10), generation("gen-2", &made, 20), generation("gen-1", &made, 10)];
        assert_eq!(settle(&db, &node("a"), &batch).await.new.len(), 2);
        assert_eq!(settle(&db, &node("a"), &batch).await, settlement::Settled::default());
        let more = [generation("gen-2", &made, 20), generation("gen-3", &made, 30)];
        assert_eq!(settle(&db, &node("a"), &more).await.new[0].as_str(), "gen-3");
        assert_eq!(balance(&db, &escrow(&node("a"), &ada)).await, 940);
        assert_eq!(proof(&db).await.generations, 3);
    }

    async fn a_cost_above_the_escrow_is_taken_from_the_customer_even_below_zero(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        grant(&db, &ada, 100).await;
        take(&db, &node("a"), &ada, 60).await;
        let settled = settle(&db, &node("a"), &[generation("gen-1", &made, 50), generation("gen-2", &made, 130)]).await;
        assert_eq!(settled.overruns, [(ada.account.clone(), nano(120))]);
        assert_eq!(balance(&db, &customer(&ada)).await, -80);
        assert_eq!(balance(&db, &escrow(&node("a"), &ada)).await, 0);
        assert_eq!(balance(&db, &provider()).await, 180);
        assert!(!take(&db, &node("a"), &ada, 1).await);
        proof(&db).await;
    }

    async fn an_account_without_any_credits_is_charged_too(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        let settled = settle(&db, &node("new"), &[generation("gen-1", &made, 3)]).await;
        assert_eq!(settled.overruns, [(ada.account.clone(), nano(3))]);
        assert_eq!(balance(&db, &customer(&ada)).await, -3);
        proof(&db).await;
    }

    async fn a_failed_generation_costs_the_house(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        grant(&db, &ada, 100).await;
        let empty = Generation {
            cost: NanoUsd::ZERO,
            outcome: Outcome::Empty,
            usage: Usage::default(),
            ..generation("gen-2", &made, 0)
        };
        let settled = settle(&db, &node("a"), &[failed_generation("gen-1", &made, 40), empty]).await;
        assert_eq!((settled.new.len(), settled.overruns.len()), (2, 0));
        assert_eq!(balance(&db, &LedgerAccount::HouseCost).await, -40);
        assert_eq!(balance(&db, &provider()).await, 40);
        assert_eq!(balance(&db, &customer(&ada)).await, 100);
        assert_eq!(proof(&db).await.house_total, nano(-40));
    }

    async fn costs_that_make_no_sense_are_refused(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        let negative = Generation { cost: nano(-1), ..generation("gen-1", &made, 0) };
        let charged = Generation { outcome: Outcome::Failed, ..generation("gen-1", &made, 5) };
        let huge = Usage { completion: u64::MAX, ..Usage::default() };
        let uncountable = Generation { usage: huge, ..generation("gen-1", &made, 5) };
        for refused in [negative, charged, uncountable] {
            let mut tx = db.begin().await;
            let result = settlement::settle(&mut tx, &node("a"), &[refused], &mut transfer_id, NOW).await;
            assert!(matches!(result, Err(LedgerError::Store(StoreError::Corrupt(_)))), "{result:?}");
        }
    }

    async fn a_large_batch_settles_whole(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        grant(&db, &ada, 1_000_000).await;
        take(&db, &node("a"), &ada, 1_000_000).await;
        let batch: Vec<Generation> =
            (0..700).map(|number| generation(&format!("gen-{number:04}"), &made, number % 50)).collect();
        assert_eq!(settle(&db, &node("a"), &batch).await.new.len(), 700);
        let charged: i64 = (0..700).map(|number| number % 50).sum();
        assert_eq!(balance(&db, &provider()).await, charged);
        proof(&db).await;
    }

    async fn settlements_of_the_same_generations_at_once_charge_once(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", Some(10_000), None).await;
        grant(&db, &ada, 1_000).await;
        take(&db, &node("a"), &ada, 1_000).await;
        let mut batch: Vec<Generation> =
            (0..20).map(|number| generation(&format!("gen-{number}"), &made, 5)).collect();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..4 {
            batch.reverse();
            let (db, batch) = (db.clone(), batch.clone());
            tasks.spawn(async move { settle(&db, &node("a"), &batch).await.new.len() });
        }
        assert_eq!(tasks.join_all().await.into_iter().sum::<usize>(), 20);
        assert_eq!(balance(&db, &escrow(&node("a"), &ada)).await, 900);
        proof(&db).await;
    }
}
