//! The data of the tour: invented conversations and facts of two users, and questions about them.

/// The user who owns the conversations.
pub(super) const USER: &str = "iris";
/// The user who owns the facts.
pub(super) const OTHER_USER: &str = "marlow";

/// A conversation: its start, and speaker and text of its messages, one minute apart.
pub(super) struct Conversation {
    pub(super) name: &'static str,
    pub(super) start: &'static str,
    pub(super) messages: &'static [(&'static str, &'static str)],
}

pub(super) const STORY: [Conversation; 4] = [
    Conversation {
        name: "cottage",
        start: "2025-03-02T18:40:00",
        messages: &[
            ("Iris", "The keys are ours! We moved into the old lighthouse keeper's cottage on Friday."),
            ("Bo", "Congratulations! Does the heating work already?"),
            ("Iris", "Not yet. I sleep in two jumpers and a wool hat."),
            ("Bo", "I'll come by on Sunday with a kettle and my toolbox."),
            ("Iris", "Careful with the cake, by the way: I am badly allergic to walnuts."),
            ("Bo", "Noted. With me it is only coriander, and that is pure dislike."),
        ],
    },
    Conversation {
        name: "pottery",
        start: "2025-04-16T20:05:00",
        messages: &[
            ("Iris", "I started pottery classes yesterday evening."),
            ("Bo", "And, what does the first bowl look like?"),
            ("Iris", "Like a hat that somebody sat on."),
            ("Bo", "Keep it. I will eat soup from it one day."),
            ("Iris", "Marguerite, who teaches us, fires the kiln every Thursday."),
            ("Bo", "I have news too: I applied for the job at the bakery in Saltby."),
        ],
    },
    Conversation {
        name: "puppy",
        start: "2025-05-21T07:30:00",
        messages: &[
            ("Bo", "We brought a puppy home from the shelter!"),
            ("Iris", "Wonderful! What will you call her?"),
            ("Bo", "Biscuit. She ate my left shoe before breakfast."),
            ("Iris", "That suits a baker. Did they answer you?"),
            ("Bo", "They did. I begin on the second of June, at four in the morning."),
            ("Iris", "Then I know where my bread will come from."),
        ],
    },
    Conversation {
        name: "coast",
        start: "2025-07-12T21:15:00",
        messages: &[
            ("Iris", "We are back from two weeks along the coast."),
            ("Bo", "Did the old van survive it?"),
            ("Iris", "The gearbox broke outside Dunmore. We waited five hours for a tow truck."),
            ("Bo", "Oh no. And the tent?"),
            ("Iris", "Dry and warm. On the last morning we saw dolphins from the beach."),
            ("Bo", "Biscuit would have swum after them."),
            ("Iris", "Come along next summer, both of you."),
        ],
    },
];

/// Facts about the other user.
pub(super) const FACTS: [&str; 4] = [
    "Is allergic to shellfish and carries an emergency pen",
    "The door code of the boathouse is 4417",
    "Prefers night trains to planes",
    "Sees the dentist on 3 September 2025",
];

/// User and question.
pub(super) const QUESTIONS: [(&str, &str); 6] = [
    (USER, "Who must not eat walnuts?"),
    (USER, "When did Iris start pottery classes?"),
    (USER, "What is Bo's puppy called?"),
    (USER, "What broke down on the trip along the coast?"),
    (USER, "What is the door code of the boathouse?"),
    (OTHER_USER, "What is the door code of the boathouse?"),
];

/// The question that finds the fact to correct, and the new text.
pub(super) const CORRECTION: (&str, &str) =
    ("What is the door code of the boathouse?", "The door code of the boathouse is 9023");

/// Commands to try next.
pub(super) const NEXT: [&str; 5] = [
    "mnemon add 'I am allergic to peanuts' --user ana --name Ana",
    "mnemon search 'what can Ana not eat?' --user ana --explain",
    "mnemon import chat.json --user ana",
    "mnemon list --user ana",
    "mnemon export backup.jsonl",
];
