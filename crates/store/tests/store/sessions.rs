use crate::fixtures::{NOW, user};
use domain::id::{SessionId, UserId};
use domain::time::Micros;
use store::sessions::{self, Session};

fn session(id: &str, user: &UserId) -> Session {
    Session {
        id: SessionId::stored(id),
        user: user.clone(),
        created: NOW,
        last_seen: NOW,
        expires: NOW.plus(Micros::HOUR),
        ip: "192.0.2.7".to_owned(),
        user_agent: "Firefox".to_owned(),
    }
}

fn ids(sessions: &[Session]) -> Vec<&str> {
    sessions.iter().map(|session| session.id.as_str()).collect()
}

on_both! {
    async fn a_session_is_found_by_its_token_with_its_user(db: Db) {
        let ada = user(&db, "ada").await;
        let mut tx = db.begin().await;
        sessions::create(&mut tx, "token", &session("ses_1", &ada.id)).await.unwrap();
        let found = sessions::by_token(&mut tx, "token", NOW).await.unwrap().unwrap();
        assert_eq!(found, (session("ses_1", &ada.id), ada));
        assert!(sessions::by_token(&mut tx, "other", NOW).await.unwrap().is_none());
    }

    async fn sessions_are_listed_last_used_first_and_can_be_ended(db: Db) {
        let ada = user(&db, "ada").await;
        let bob = user(&db, "bob").await;
        let mut tx = db.begin().await;
        for number in 1..=3 {
            let one = session(&format!("ses_{number}"), &ada.id);
            sessions::create(&mut tx, &format!("token{number}"), &one).await.unwrap();
        }
        sessions::touch(&mut tx, &SessionId::stored("ses_2"), NOW.plus(7)).await.unwrap();
        let listed = sessions::list(&mut tx, &ada.id, NOW).await.unwrap();
        assert_eq!(ids(&listed), ["ses_2", "ses_1", "ses_3"]);
        assert_eq!(listed[0].last_seen, NOW.plus(7));

        assert!(!sessions::revoke(&mut tx, &bob.id, &SessionId::stored("ses_1")).await.unwrap());
        assert!(sessions::revoke(&mut tx, &ada.id, &SessionId::stored("ses_1")).await.unwrap());
        assert!(sessions::by_token(&mut tx, "token1", NOW).await.unwrap().is_none());

        let kept = SessionId::stored("ses_3");
        assert_eq!(sessions::revoke_all(&mut tx, &ada.id, Some(&kept)).await.unwrap(), 1);
        assert_eq!(ids(&sessions::list(&mut tx, &ada.id, NOW).await.unwrap()), ["ses_3"]);
        assert_eq!(sessions::revoke_all(&mut tx, &ada.id, None).await.unwrap(), 1);
    }

    async fn an_expired_session_is_none(db: Db) {
        let ada = user(&db, "ada").await;
        let mut tx = db.begin().await;
        sessions::create(&mut tx, "token", &session("ses_1", &ada.id)).await.unwrap();
        let end = NOW.plus(Micros::HOUR);
        assert!(sessions::by_token(&mut tx, "token", end.plus(-1)).await.unwrap().is_some());
        assert!(sessions::by_token(&mut tx, "token", end).await.unwrap().is_none());
        assert!(sessions::list(&mut tx, &ada.id, end).await.unwrap().is_empty());
        assert_eq!(sessions::delete_expired(&mut tx, end.plus(-1)).await.unwrap(), 0);
        assert_eq!(sessions::delete_expired(&mut tx, end).await.unwrap(), 1);
    }
}
