use crate::fixtures::{NOW, email};
use domain::id::MailId;
use store::outbox::{self, CLAIM_US, Mail};

fn mail(id: &str, age_us: i64) -> Mail {
    Mail {
        id: MailId::stored(id),
        to: email("ada"),
        subject: "Prove your address".to_owned(),
        body: "Follow this link.\n".to_owned(),
        created: NOW.plus(-age_us),
        sent: None,
        attempts: 0,
    }
}

fn ids(mails: &[Mail]) -> Vec<&str> {
    mails.iter().map(|mail| mail.id.as_str()).collect()
}

on_both! {
    async fn mails_leave_oldest_first_and_are_claimed_once(db: Db) {
        let mut tx = db.begin().await;
        for (id, age_us) in [("mail_1", 1), ("mail_2", 3), ("mail_3", 2), ("mail_4", -9)] {
            outbox::enqueue(&mut tx, &mail(id, age_us)).await.unwrap();
        }
        assert_eq!(ids(&outbox::due(&mut tx, NOW, 2).await.unwrap()), ["mail_2", "mail_3"]);
        assert_eq!(ids(&outbox::due(&mut tx, NOW, 2).await.unwrap()), ["mail_1"]);
        assert!(outbox::due(&mut tx, NOW, 2).await.unwrap().is_empty());
        let later = NOW.plus(CLAIM_US);
        assert_eq!(outbox::due(&mut tx, later, 9).await.unwrap().len(), 4);
    }

    async fn a_sent_mail_is_not_due_and_a_failed_one_is_later(db: Db) {
        let mut tx = db.begin().await;
        outbox::enqueue(&mut tx, &mail("mail_1", 2)).await.unwrap();
        outbox::enqueue(&mut tx, &mail("mail_2", 1)).await.unwrap();
        outbox::mark_sent(&mut tx, &MailId::stored("mail_1"), NOW).await.unwrap();
        outbox::mark_failed(&mut tx, &MailId::stored("mail_2"), "refused", NOW.plus(50)).await.unwrap();
        assert!(outbox::due(&mut tx, NOW.plus(49), 9).await.unwrap().is_empty());
        let due = outbox::due(&mut tx, NOW.plus(50), 9).await.unwrap();
        assert_eq!((ids(&due), due[0].attempts), (vec!["mail_2"], 1));
        let recent = outbox::recent(&mut tx, 9).await.unwrap();
        assert_eq!((ids(&recent), recent[1].sent), (vec!["mail_2", "mail_1"], Some(NOW)));
    }
}
