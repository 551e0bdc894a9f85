//! Generated sentences from a fixed seed, with a word distribution like that of natural language.

/// A generator of sentences. The same seed gives the same sentences.
pub struct Sentences {
    state: u64,
}

const SYLLABLES: [&str; 40] = [
    "ba", "ri", "lo", "ken", "ta", "mu", "shi", "ran", "del", "vo", "pe", "gra", "lin", "so", "ter", "ni", "ka", "wel",
    "dro", "fi", "hal", "ma", "ster", "ju", "bren", "co", "pla", "zen", "ur", "ti", "gan", "le", "mor", "sa", "quin",
    "do", "vel", "ha", "ner", "ox",
];
const FRAMES: [&str; 16] = [
    "I went to the {} with my {} and we talked about the {} for a long time",
    "My {} finally found a {} near the {}, it was cheaper than the {}",
    "Did you ever try the {} that {} recommended for the {}?",
    "We are planning a trip to {} in October to see the {} and the {}",
    "The {} broke again, so I called {} and asked for a new {}",
    "I have been learning {} for a while, my teacher {} says the {} is the hard part",
    "Yesterday {} showed me a {} from the {} collection",
    "I can't eat {} because of my allergy, so {} made {} instead",
    "Our team moved the {} from {} to {} last week",
    "{} is thinking about quitting the {} and starting a {}",
    "The best thing about {} is the {}, but the {} is not bad either",
    "Remind me to bring the {} and the {} when we meet {}",
    "{} told me that the {} opens at nine and closes before the {}",
    "I finished reading the {} and started the {} that {} wrote",
    "After the {} we walked along the {} until {} got tired",
    "My new {} arrived, it fits the {} better than the {} did",
];

impl Sentences {
    /// A generator with this seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1 }
    }

    /// xorshift64*.
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// One of about 30,000 words. Their frequencies follow Zipf's law approximately.
    fn word(&mut self) -> String {
        let uniform = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        let mut rank = (30_000f64.powf(uniform) as usize).saturating_sub(1);
        let mut word = String::new();
        for _ in 0..3 {
            word.push_str(SYLLABLES[rank % SYLLABLES.len()]);
            rank /= SYLLABLES.len();
        }
        if self.next().is_multiple_of(8) {
            word[..1].make_ascii_uppercase();
        }
        word
    }

    /// One or two sentences, 15 to 40 words.
    pub fn statement(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..1 + self.next() % 2 {
            let frame = FRAMES[(self.next() % FRAMES.len() as u64) as usize];
            if !text.is_empty() {
                text.push_str(". ");
            }
            for (at, part) in frame.split("{}").enumerate() {
                if at > 0 {
                    text.push_str(&self.word());
                }
                text.push_str(part);
            }
        }
        text
    }

    /// A short question.
    pub fn question(&mut self) -> String {
        format!("What did {} say about the {} and the {}?", self.word(), self.word(), self.word())
    }
}
