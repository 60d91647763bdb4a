use crate::fixtures::NOW;
use domain::catalog::CatalogData;
use store::{StoreError, catalog};

fn data(endpoints: usize) -> CatalogData {
    let provider = |slug: &str| {
        serde_json::json!({
            "slug": slug, "name": slug, "base_url": "https://api.example/v1", "dialect": "openai-chat", "auth": "bearer",
            "key_setting": "ACME_API_KEY"
        })
    };
    let model = |slug: &str| {
        serde_json::json!({
            "slug": slug, "name": slug, "kind": "chat", "context_length": 8192,
            "input_modalities": ["text"], "output_modalities": ["text"], "released": "2026-01-31"
        })
    };
    let endpoint = |number: usize| {
        serde_json::json!({
            "id": format!("z/one|acme|{number}"), "model": "z/one", "provider": "acme", "provider_model_id": "one",
            "context_length": 8192, "prices": {"prompt": 135_000, "completion": 400_000}
        })
    };
    serde_json::from_value(serde_json::json!({
        "providers": [provider("zeta"), provider("acme")],
        "models": [model("z/one"), model("a/two")],
        "endpoints": (0..endpoints).map(endpoint).collect::<Vec<_>>(),
    }))
    .unwrap()
}

on_both! {
    async fn a_catalog_comes_back_as_it_was_given(db: Db) {
        let mut tx = db.begin().await;
        assert_eq!(catalog::load(&mut tx).await.unwrap(), (0, CatalogData::default()));
        assert_eq!(catalog::replace(&mut tx, &data(90), "files", "sum1", NOW).await.unwrap(), 1);
        assert_eq!(catalog::load(&mut tx).await.unwrap(), (1, data(90)));
        assert_eq!(catalog::replace(&mut tx, &data(1), "files", "sum2", NOW).await.unwrap(), 2);
        assert_eq!(catalog::load(&mut tx).await.unwrap(), (2, data(1)));
    }

    async fn the_same_catalog_is_no_new_version(db: Db) {
        let mut tx = db.begin().await;
        catalog::replace(&mut tx, &data(2), "files", "sum1", NOW).await.unwrap();
        assert_eq!(catalog::replace(&mut tx, &data(2), "elsewhere", "sum1", NOW).await.unwrap(), 1);
        assert_eq!(catalog::version(&mut tx).await.unwrap(), 1);
    }

    async fn an_endpoint_that_is_listed_twice_is_a_conflict(db: Db) {
        let mut twice = data(1);
        twice.endpoints.push(twice.endpoints[0].clone());
        let refused = catalog::replace(&mut db.begin().await, &twice, "files", "sum1", NOW).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    }

    async fn nodes_that_load_the_same_catalog_at_once_agree(db: Db) {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let db = db.clone();
            tasks.spawn(async move {
                let mut tx = db.begin().await;
                let version = catalog::replace(&mut tx, &data(3), "files", "sum1", NOW).await.unwrap();
                tx.commit().await.unwrap();
                version
            });
        }
        assert_eq!(tasks.join_all().await, [1; 4]);
    }
}
