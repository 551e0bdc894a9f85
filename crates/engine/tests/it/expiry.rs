//! Expired memories are hidden from all readers, and shown on request.

use jiff::{ToSpan, Zoned};
use mnemon_engine::{AddRequest, ListRequest, Profile, SearchRequest, UpdateRequest};

use crate::fixture::{add, by_user, note, user, world};

tests!(expired_memories_are_hidden_from_all_readers);

fn expired_memories_are_hidden_from_all_readers() {
    let world = world();
    let today = Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date();
    let until = |date, text: &str| add(&world, AddRequest { expiration_date: Some(date), ..note("ana", text) });
    let expired = until(today.checked_sub(2.days()).unwrap(), "The parcel from Riga comes today.");
    let shown = until(today.checked_add(2.days()).unwrap(), "The parcel from Oslo comes tomorrow.");
    let always = add(&world, note("ana", "Parcels come to the back door."));
    assert!(world.get(expired).is_err());
    assert!(world.detail(expired).is_err());
    assert!(world.get(shown).is_ok());
    for filter in [Some(by_user("ana")), None] {
        for show_expired in [false, true] {
            let request = ListRequest { filter: filter.clone(), limit: 10, show_expired, ..ListRequest::default() };
            let page = world.list(&request).unwrap();
            let ids: Vec<_> = page.items.iter().map(|memory| memory.id).collect();
            let expected = if show_expired { vec![always, shown, expired] } else { vec![always, shown] };
            assert_eq!(ids, expected, "{filter:?}, {show_expired}");
            assert_eq!(page.total, expected.len());
        }
    }
    for profile in [Profile::Fusion, Profile::Mem0] {
        for show_expired in [false, true] {
            let request = SearchRequest {
                profile,
                show_expired,
                threshold: Some(0.0),
                ..SearchRequest::new("parcel from Riga", by_user("ana"))
            };
            let hits = world.search(&request).unwrap().hits;
            assert_eq!(hits.iter().any(|hit| hit.memory.id == expired), show_expired, "{profile:?}");
            assert_eq!(hits.len(), 2 + usize::from(show_expired), "{profile:?}");
        }
    }
    assert_eq!(world.stats(&user("ana")).unwrap().memories, 3, "statistics include expired memories");
    // An expired memory can be updated.
    world.update(expired, &UpdateRequest { expiration_date: Some(None), ..UpdateRequest::default() }).unwrap();
    assert!(world.get(expired).is_ok());
}
