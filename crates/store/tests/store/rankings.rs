use crate::both::Db;
use crate::fixtures::{NOW, generation, key, model, nano, node, settle, user};
use domain::generation::Generation;
use domain::time::Micros;
use store::rankings::{self, RankedApp, Totals};

const TODAY: &str = "2026-11-23";
const YESTERDAY: &str = "2026-11-22";

/// Two models of two providers on two days; each generation has 7 completion tokens, 2 of them reasoning.
async fn some_use(db: &Db) {
    let ada = user(db, "ada").await;
    let made = key(db, &ada, "k", None, None).await;
    let of = |id: &str, slug: &str, provider: &str, cost: u32, days: i64| Generation {
        model: model(slug),
        provider: provider.to_owned(),
        created: NOW.plus(-days * Micros::DAY),
        ..generation(id, &made, cost)
    };
    let unnamed = Generation {
        app_name: None,
        ..of("gen-4", "maker/small", "acme", 1, 0)
    };
    let other_app = Generation {
        app_name: Some("Other".to_owned()),
        app_url: None,
        ..of("gen-5", "maker/large", "zeta", 90, 0)
    };
    let all = [
        of("gen-1", "maker/small", "acme", 10, 0),
        of("gen-2", "maker/small", "zeta", 20, 0),
        of("gen-3", "maker/large", "zeta", 500, 1),
        unnamed,
        other_app,
    ];
    // In two batches, so that rollups are added to.
    settle(db, &node("a"), &all[..2]).await;
    settle(db, &node("a"), &all[2..]).await;
}

on_both! {
    async fn models_are_ranked_by_tokens(db: Db) {
        some_use(&db).await;
        let mut tx = db.read().await;
        let figures = |ranked: Vec<rankings::Ranked>| -> Vec<_> {
            ranked.into_iter().map(|r| (r.model.to_string(), r.requests, r.prompt, r.completion, r.reasoning, r.cost)).collect()
        };
        let large = ("maker/large".to_owned(), 2, 590, 14, 4, nano(590));
        let small = ("maker/small".to_owned(), 3, 31, 21, 6, nano(31));
        let both_days = rankings::models(&mut tx, YESTERDAY, TODAY, 9).await.unwrap();
        assert_eq!(figures(both_days), [large.clone(), small]);
        let first = rankings::models(&mut tx, YESTERDAY, TODAY, 1).await.unwrap();
        assert_eq!(figures(first), [large]);
        let today = rankings::models(&mut tx, TODAY, TODAY, 9).await.unwrap();
        assert_eq!(today.iter().map(|r| r.prompt).collect::<Vec<_>>(), [90, 31]);
    }

    async fn tokens_per_day_and_model(db: Db) {
        some_use(&db).await;
        let daily = rankings::daily(&mut db.read().await, YESTERDAY, TODAY).await.unwrap();
        let expected = [
            (YESTERDAY.to_owned(), model("maker/large"), 507),
            (TODAY.to_owned(), model("maker/large"), 97),
            (TODAY.to_owned(), model("maker/small"), 52),
        ];
        assert_eq!(daily, expected);
    }

    async fn providers_and_apps_are_ranked_by_tokens(db: Db) {
        some_use(&db).await;
        let mut tx = db.read().await;
        let providers = rankings::providers(&mut tx, YESTERDAY, TODAY, 9).await.unwrap();
        let figures: Vec<_> = providers.iter().map(|p| (p.provider.as_str(), p.requests, p.prompt)).collect();
        assert_eq!(figures, [("zeta", 3, 610), ("acme", 2, 11)]);
        let apps = rankings::apps(&mut tx, YESTERDAY, TODAY, 9).await.unwrap();
        let url = Some("https://noted.example".to_owned());
        let noted = RankedApp { name: "Noted".to_owned(), url, requests: 3, prompt: 530, completion: 21 };
        let other = RankedApp { name: "Other".to_owned(), url: None, requests: 1, prompt: 90, completion: 7 };
        assert_eq!(apps, [noted, other]);
    }

    async fn totals_are_sums_and_zero_without_use(db: Db) {
        let none = rankings::totals(&mut db.read().await, YESTERDAY, TODAY).await.unwrap();
        assert_eq!(none, Totals::default());
        some_use(&db).await;
        let all = rankings::totals(&mut db.read().await, YESTERDAY, TODAY).await.unwrap();
        let expected = Totals { requests: 5, prompt: 621, completion: 35, reasoning: 10, cost: nano(621) };
        assert_eq!(all, expected);
    }
}
