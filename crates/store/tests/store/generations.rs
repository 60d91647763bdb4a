use crate::both::Db;
use crate::fixtures::{NOW, generation, key, model, nano, node, settle, user};
use domain::generation::{Generation, Outcome};
use domain::id::{AccountId, GenerationId};
use domain::price::{PriceTier, Prices};
use domain::time::Micros;
use domain::usage::Usage;
use store::generations::{self, Filter};

async fn ids(db: &Db, account: &AccountId, filter: &Filter, limit: i64) -> Vec<String> {
    let listed = generations::list(&mut db.read().await, account, filter, limit)
        .await
        .unwrap();
    listed.iter().map(|generation| generation.id.to_string()).collect()
}

on_both! {
    async fn a_generation_comes_back_as_it_was_settled(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        let tier = PriceTier {
            min_prompt_tokens: 5,
            prompt: None,
            completion: Some(domain::money::PicoUsd::new(9)),
            ..PriceTier::default()
        };
        let plain = generation("gen-1", &made, 10);
        let bare = Generation {
            streamed: false,
            estimated: true,
            outcome: Outcome::Recovered,
            usage: Usage { cache_read: 1, cache_write: 2, images: 3, cache_write_1h: 1, audio_ms: 9, ..Usage::default() },
            prices: Prices { tiers: vec![tier], ..Prices::default() },
            finish_reason: None,
            native_finish_reason: None,
            upstream_id: None,
            first_token_us: None,
            app_name: None,
            app_url: None,
            attempts: Vec::new(),
            ..generation("gen-2", &made, 0)
        };
        settle(&db, &node("a"), &[plain.clone(), bare.clone()]).await;
        let mut tx = db.read().await;
        for settled in [plain, bare] {
            assert_eq!(generations::by_id(&mut tx, &settled.id).await.unwrap(), Some(settled.clone()));
            assert!(generations::exists(&mut tx, &settled.id).await.unwrap());
        }
        let unknown = GenerationId::stored("gen-none");
        assert_eq!(generations::by_id(&mut tx, &unknown).await.unwrap(), None);
        assert!(!generations::exists(&mut tx, &unknown).await.unwrap());
    }

    async fn the_list_is_newest_first_and_filtered(db: Db) {
        let ada = user(&db, "ada").await;
        let bob = user(&db, "bob").await;
        let keys = [key(&db, &ada, "k1", None, None).await, key(&db, &ada, "k2", None, None).await];
        let others = key(&db, &bob, "k3", None, None).await;
        let at = |id: &str, made: &store::keys::Key, age_us: i64, slug: &str| Generation {
            created: NOW.plus(-age_us),
            model: model(slug),
            ..generation(id, made, 1)
        };
        let all = [
            at("gen-1", &keys[0], 3, "maker/one"),
            at("gen-2", &keys[1], 2, "maker/one"),
            at("gen-3", &keys[0], 1, "maker/two"),
            at("gen-4", &others, 0, "maker/one"),
        ];
        settle(&db, &node("a"), &all).await;
        let everything = Filter::default();
        assert_eq!(ids(&db, &ada.account, &everything, 9).await, ["gen-3", "gen-2", "gen-1"]);
        assert_eq!(ids(&db, &ada.account, &everything, 1).await, ["gen-3"]);
        let before = Filter { before: Some(NOW.plus(-1)), ..Filter::default() };
        assert_eq!(ids(&db, &ada.account, &before, 9).await, ["gen-2", "gen-1"]);
        let of_key = Filter { key: Some(keys[0].hash.clone()), ..Filter::default() };
        assert_eq!(ids(&db, &ada.account, &of_key, 9).await, ["gen-3", "gen-1"]);
        let of_model = Filter { model: Some(model("maker/one")), ..of_key };
        assert_eq!(ids(&db, &ada.account, &of_model, 9).await, ["gen-1"]);
    }

    async fn the_summary_has_a_line_per_day_and_model(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        let other_key = key(&db, &ada, "k2", None, None).await;
        let yesterday = Generation { created: NOW.plus(-Micros::DAY), ..generation("gen-1", &made, 4) };
        let all = [yesterday, generation("gen-2", &made, 5), generation("gen-3", &other_key, 6)];
        settle(&db, &node("a"), &all).await;
        let mut tx = db.read().await;
        let lines = generations::account_summary(&mut tx, &ada.account, "2026-11-22", "2026-11-23").await.unwrap();
        let figures: Vec<_> = lines.iter().map(|l| (l.day.as_str(), l.requests, l.prompt, l.completion, l.cost)).collect();
        assert_eq!(figures, [("2026-11-22", 1, 4, 7, nano(4)), ("2026-11-23", 2, 11, 14, nano(11))]);
        let lines = generations::account_summary(&mut tx, &ada.account, "2026-11-23", "2026-11-23").await.unwrap();
        assert_eq!(lines.len(), 1);
    }
}
