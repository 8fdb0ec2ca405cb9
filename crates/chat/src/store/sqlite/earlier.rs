//! What rows of a version before lack and SQL cannot make: how names fold and look, and an invite for each room.
//!
//! Done once, when the database is opened for the first time after it was migrated; a row that is complete is not touched.

use rusqlite::{Connection, TransactionBehavior, params};

use crate::{
    limits::{INVITE_LIFETIME, INVITE_USES_MAX},
    model::{Code, Name, PersonId, RoomId},
};

/// Completes the rows of people and rooms that a version before wrote.
pub(super) fn complete(connection: &mut Connection) -> rusqlite::Result<()> {
    let unfinished: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM people WHERE look IS NULL) OR EXISTS (SELECT 1 FROM rooms WHERE folded IS NULL)",
        [],
        |row| row.get(0),
    )?;
    if !unfinished {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (person, name) in rows::<PersonId>(&transaction, "SELECT id, name FROM people WHERE look IS NULL")? {
        transaction.execute("UPDATE people SET look = ?2 WHERE id = ?1", params![person, name.look()])?;
    }
    for (room, name) in rows::<RoomId>(&transaction, "SELECT id, name FROM rooms WHERE folded IS NULL")? {
        let sql = "UPDATE rooms SET folded = ?2, look = ?3 WHERE id = ?1";
        transaction.execute(sql, params![room, name.folded(), name.look()])?;
        // A page of the version before asks for a room's invite and expects one, and reading makes none any more.
        let code = Code::fresh();
        let millis = i64::try_from(INVITE_LIFETIME.as_millis()).unwrap_or(i64::MAX);
        let sql = "INSERT INTO invites (digest, code, room, inviter, created, expires, uses_max, uses)
            SELECT ?1, ?2, r.id, r.creator, t.now, t.now + ?3, ?4, 0
            FROM rooms r, (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now) t
            WHERE r.id = ?5 AND NOT EXISTS (SELECT 1 FROM invites i WHERE i.room = r.id)";
        transaction.execute(sql, params![code.digest(), code.reveal(), millis, INVITE_USES_MAX, room])?;
    }
    transaction.commit()
}

fn rows<Id: rusqlite::types::FromSql>(db: &Connection, sql: &str) -> rusqlite::Result<Vec<(Id, Name)>> {
    db.prepare(sql)?.query_map([], |row| Ok((row.get(0)?, Name::stored(row.get(1)?))))?.collect()
}

#[cfg(test)]
mod tests {
    use super::{super::migrations, *};

    fn count(db: &Connection, what: &str) -> u32 {
        db.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn rows_of_a_version_before_are_completed_once_and_kept_though_their_names_are_doubled() {
        let mut db = Connection::open_in_memory().unwrap();
        migrations::migrate(&mut db).unwrap();
        let (ana, other) = (PersonId::fresh(), PersonId::fresh());
        for (person, email) in [(ana, "ana@example.com"), (other, "other@example.com")] {
            let sql =
                "INSERT INTO people (id, name, email, role, password, created) VALUES (?1, 'Ana', ?2, 'member', '', 0)";
            db.execute(sql, params![person, email]).unwrap();
        }
        let rooms = [RoomId::fresh(), RoomId::fresh()];
        for (room, name) in rooms.iter().zip(["Garden", "GARDEN"]) {
            let sql = "INSERT INTO rooms (id, name, topic, creator, epoch, last_number, created)
                VALUES (?1, ?2, '', ?3, 'epoch', 0, 0)";
            db.execute(sql, params![room, name, ana]).unwrap();
        }
        db.execute("INSERT INTO memberships (room, person, joined) VALUES (?1, ?2, 0)", params![rooms[0], ana])
            .unwrap();

        complete(&mut db).unwrap();
        assert_eq!(count(&db, "people WHERE look = (SELECT look FROM people WHERE email = 'ana@example.com')"), 2);
        assert_eq!(count(&db, "rooms WHERE folded = 'garden'"), 2, "both stay");
        assert_eq!(count(&db, "rooms WHERE members = 1"), 1);
        let code = |db: &Connection| -> String {
            db.query_row("SELECT code FROM invites WHERE room = ?1", [rooms[1]], |row| row.get(0)).unwrap()
        };
        let before = code(&db);
        assert_eq!(count(&db, "invites WHERE expires > created"), 2, "each has one to read");
        complete(&mut db).unwrap();
        assert_eq!(code(&db), before);
    }
}
