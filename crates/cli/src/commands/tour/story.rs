//! The example of the tour: invented friends, an invented stranger, and what is asked.

/// Whose memories the conversations are.
pub(super) const FRIENDS: &str = "iris";
/// Somebody else.
pub(super) const LONER: &str = "marlow";

/// A conversation: when it began, and who said what, a minute apart.
pub(super) struct Conversation {
    pub(super) name: &'static str,
    pub(super) begun: &'static str,
    pub(super) said: &'static [(&'static str, &'static str)],
}

pub(super) const STORY: [Conversation; 4] = [
    Conversation {
        name: "cottage",
        begun: "2025-03-02T18:40:00",
        said: &[
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
        begun: "2025-04-16T20:05:00",
        said: &[
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
        begun: "2025-05-21T07:30:00",
        said: &[
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
        begun: "2025-07-12T21:15:00",
        said: &[
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

/// What is known of somebody else.
pub(super) const FACTS: [&str; 4] = [
    "Is allergic to shellfish and carries an emergency pen",
    "The door code of the boathouse is 4417",
    "Prefers night trains to planes",
    "Sees the dentist on 3 September 2025",
];

/// Who asks, and what.
pub(super) const QUESTIONS: [(&str, &str); 6] = [
    (FRIENDS, "Who must not eat walnuts?"),
    (FRIENDS, "When did Iris start pottery classes?"),
    (FRIENDS, "What is Bo's puppy called?"),
    (FRIENDS, "What broke down on the trip along the coast?"),
    (FRIENDS, "What is the door code of the boathouse?"),
    (LONER, "What is the door code of the boathouse?"),
];

/// The question that finds what has changed, and how it is now.
pub(super) const CORRECTION: (&str, &str) =
    ("What is the door code of the boathouse?", "The door code of the boathouse is 9023");

/// Where to go from here.
pub(super) const NEXT: [&str; 5] = [
    "mnemon add 'I am allergic to peanuts' --user ana --name Ana",
    "mnemon search 'what can Ana not eat?' --user ana --explain",
    "mnemon import chat.json --user ana",
    "mnemon list --user ana",
    "mnemon export backup.jsonl",
];
