use crate::fixtures::{NOW, email, failed_generation, generation, grant, key, nano, node, settle, take, user};
use domain::generation::Generation;
use domain::money::NanoUsd;
use domain::time::Micros;
use store::oversight::{self, BookLine, Debtor, Estimates, HouseCost};

on_both! {
    async fn the_books_are_one_line_for_each_account_of_the_house_and_sum_to_zero(db: Db) {
        let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
        grant(&db, &ada, 100).await;
        grant(&db, &bob, 50).await;
        assert!(take(&db, &node("a"), &ada, 40).await);
        let books = oversight::books(&mut db.read().await).await.unwrap();
        let line = |kind: &str, account: &str, accounts, balance| BookLine {
            kind: kind.to_owned(),
            account: account.to_owned(),
            accounts,
            balance: nano(balance),
        };
        let expected = [
            line("customer", "", 2, 110),
            line("escrow", "", 1, 40),
            line("promotions", "promotions", 1, -150),
        ];
        assert_eq!(books, expected);
        assert_eq!(books.iter().map(|line| line.balance).sum::<NanoUsd>(), NanoUsd::ZERO);
    }

    async fn whoever_owes_is_listed_with_an_address(db: Db) {
        let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
        grant(&db, &bob, 50).await;
        let made = key(&db, &ada, "k", None, None).await;
        settle(&db, &node("a"), &[generation("gen-1", &made, 30)]).await;
        let debtors = oversight::debtors(&mut db.read().await, 9).await.unwrap();
        let expected = Debtor { account: ada.account, email: Some(email("ada")), balance: nano(-30) };
        assert_eq!(debtors, [expected]);
    }

    async fn what_the_house_pays_is_summed_by_day_and_provider(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        grant(&db, &ada, 1_000).await;
        let yesterday = NOW.plus(-Micros::DAY);
        let failed = |id: &str, cost, created| Generation { created, ..failed_generation(id, &made, cost) };
        let estimated = Generation { estimated: true, ..generation("gen-4", &made, 11) };
        let all = [
            failed("gen-1", 5, yesterday),
            failed("gen-2", 7, NOW),
            failed("gen-3", 9, NOW),
            estimated,
            generation("gen-5", &made, 13),
        ];
        settle(&db, &node("a"), &all).await;
        let mut tx = db.read().await;
        let line = |day: &str, generations, cost| HouseCost {
            day: day.to_owned(),
            provider: "acme".to_owned(),
            generations,
            cost: nano(cost),
        };
        let both = oversight::house_costs(&mut tx, yesterday, 9).await.unwrap();
        assert_eq!(both, [line("2026-11-23", 2, 16), line("2026-11-22", 1, 5)]);
        assert_eq!(oversight::house_costs(&mut tx, NOW, 9).await.unwrap(), [line("2026-11-23", 2, 16)]);
        let expected = Estimates { endpoint: "maker/model|acme".to_owned(), generations: 1, charged: nano(11) };
        assert_eq!(oversight::estimates(&mut tx, yesterday, 9).await.unwrap(), [expected]);
    }
}
