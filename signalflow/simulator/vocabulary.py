"""Words and patterns of the simulated subreddits.

A {name} in a pattern is replaced by one of the common words of that name; {term} by a term of the subreddit, {actor}
and {event} by words of the story. Words may contain names themselves.
"""

from dataclasses import dataclass

from signalflow.simulator.terms import TERMS


@dataclass(frozen=True, slots=True)
class Theme:
    """What a group of subreddits talks about. `actors` and `events` make up its planted stories.

    `self_share`: share of text posts before scaling. `chat`: comments per point.
    """

    self_share: float
    chat: float
    titles: tuple[str, ...]
    actors: tuple[str, ...]
    events: tuple[str, ...]


def _lines(text: str) -> tuple[str, ...]:
    """One pattern per line."""
    return tuple(line.strip() for line in text.strip().splitlines())


def _words(text: str) -> tuple[str, ...]:
    """Alternatives, separated by bars."""
    return tuple(part.strip() for part in text.replace("\n", " ").split("|"))


COMMON: dict[str, tuple[str, ...]] = {
    "good": _words("lovely|great|beautiful|excellent|charming|surprisingly good|solid|nice|clever|impressive"),
    "bad": _words("bad|disappointing|annoying|broken|weak|sloppy|confusing|dull|overpriced|frustrating"),
    "superb": _words(
        "absolutely amazing|the best thing I have seen all year|brilliant|a wonderful surprise|pure joy|"
        "outstanding|perfect"
    ),
    "awful": _words(
        "absolutely terrible|a complete disaster|disgusting|the worst thing I have seen all year|"
        "a horrible joke|shameful|vile"
    ),
    "love": _words("love|adore|am so happy with|am grateful for|can't stop enjoying"),
    "hate": _words("hate|am sick of|am furious about|am terrified of|can't stand"),
    "mood": _words(
        "I love it!|I hate it.|What a disgrace.|This is wonderful news!|I am devastated.|Best day ever!|"
        "I feel awful about it.|"
        "Nobody saw that coming.|I don't know what to think.|It was about time.|Absolutely thrilled!|"
        "Utterly heartbreaking."
    ),
    "who": _words(
        "my brother|my neighbour|my boss|a friend|my girlfriend|my husband|my mother|a coworker|my roommate|"
        "my teacher|a stranger"
    ),
    "place": _words(
        "Lisbon|Oslo|Chicago|Toronto|Nairobi|Osaka|Berlin|Melbourne|Austin|Warsaw|Lima|Seoul|Glasgow|Denver|"
        "Mumbai|Prague|Ghent"
    ),
    "when": _words(
        "last night|this morning|after two years|over the weekend|for the first time|yesterday|today|"
        "last week|since January"
    ),
    "n": _words("2|3|4|5|6|7|8|9|10|12|14|15|20|25|30|40|50|75|100|250"),
    "money": _words("$40|$300|$1,200|$5k|$20,000|half a million|2 million dollars|a month's salary"),
    "caps": _words("WOW|FINALLY|NO WAY|PSA|UPDATE|HELP|SERIOUSLY|WARNING"),
}

# Bodies are made of these; no theme has sentences of its own.
SENTENCES = _lines("""
    I have been thinking about {term} for a while and could not find a thread that answers it.
    For context, I started with {term} about {n} months ago and {love} it.
    To be honest I {hate} how {term} is handled here.
    {who} told me that {term} is {awful}, but I am not so sure.
    {who} showed me {term} {when} and it was {superb}.
    I tried {term} and {term}, and the second one worked better.
    It cost me {money}, which is more than I wanted to spend on {term}.
    What surprised me most is how much {term} has changed {when}.
    The usual advice is to ignore {term}, but that did not help at all.
    Has anybody here compared {term} with {term} for more than a few weeks?
    I know this sounds {bad}, but please be kind, this is my first post.
    After {n} attempts I nearly gave up, then {term} suddenly worked.
    Somebody in {place} wrote a {good} guide to {term}; I lost the link, sadly.
    There are {n} things I would do differently, and {term} is the first of them.
    I read the wiki and the last {n} threads about {term} before I asked.
    The part about {term} was {good}, the rest rather {bad}.
    If you only remember one thing: do not start with {term}.
    My plan is to keep {term} simple, see how it goes, and report back.
    Thanks to everyone who helped me with {term} {when}!
    I do not want to blame anyone, but {term} was {awful}.
""")
COMMENTS = _lines("""
    This is {superb}.
    This is {awful} and you know it.
    Came here to say exactly this about {term}.
    {mood}
    Source? Everything I have read about {term} says the opposite.
    I had the same with {term} {when}. It gets better.
    You are wrong about {term}, and here is why: it was never meant for that.
    Thank you, I {love} this community.
    I {hate} that this is true.
    {term} is {good}, but {term} is what I would look at first.
    Not {term} again...
    Can confirm, {who} did the same in {place}.
    That is {n} times what I paid for {term}.
    Underrated comment.
    I laughed way too hard at this.
    Honest question: why not {term}?
    Nope. Just nope.
    The {good} thing is that {term} will not go away.
""")
# Titles that every theme may use, about the subreddit's own terms.
GENERAL_TITLES = _lines("""
    {term} is {superb}
    {term} is {awful}
    I {love} {term}
    I {hate} {term}
    {caps}: {term} {when}
    Unpopular opinion: {term} is {bad} and {term} is {good}
    {term} or {term}? I have to decide {when}
    What nobody tells you about {term}
    {who} and {term}: {mood}
""")

_HUMOR = Theme(
    0.06,
    0.03,
    _lines("""
        When {who} discovers {term}
        {term} be like
        Me explaining {term} to {who}
        POV: you said yes to {term}
        Nobody: ... {term}: hold my beer
        {who} made this about {term} and I can't stop laughing
        I see your {term} and raise you {term}
        It ain't much but it's honest {term}
        This {good} {term} I found in {place}
        {who} thought {term} was a good idea. {mood}
    """),
    _words(
        "A raccoon in {place}|A wedding DJ|The mayor of {place}|A very polite burglar|A golden retriever|{place}'s zoo"
    ),
    _words(
        "stole {n} pizzas on live television|became the face of a dating app|crashed a wedding and stayed for the cake|"
        "was elected to the school board by accident|held up traffic for {n} hours and loved it"
    ),
)
_WHOLESOME = Theme(
    0.05,
    0.02,
    _lines("""
        {who} finished {term} {when} and I am so proud
        After {n} years, {term}. {mood}
        The way {term} comes together here
        This {good} moment with {term} made my day
        {who} surprised me with {term} in {place}
        Watching {term} for {n} minutes is oddly calming
        Incredible {term} by {who}
        A kid in {place} shares {term} with everyone
    """),
    _words(
        "A retired nurse in {place}|A bus driver|A {n}-year-old girl|A school in {place}|"
        "The crew of a lifeboat|A lost dog"
    ),
    _words(
        "saved {n} people from a burning bus|raised {money} for a children's hospital|met the man who saved her life|"
        "found the family it had lost {n} months ago|caught a falling toddler with bare hands"
    ),
)
_ASK = Theme(
    0.97,
    0.5,
    _lines("""
        What is {term} that everybody should know about?
        People of Reddit, what is your worst story about {term}?
        What made you {love} {term}?
        Why do people {hate} {term}?
        What's up with {term} lately?
        Is it normal to be scared of {term}?
        Those who work in {place}: how do you deal with {term}?
        What is something {good} about {term} that nobody talks about?
        Can someone explain {term} to me as if I were {n}?
        What would you do with {money} and {term}?
        How do you tell {who} that {term} is {bad}?
        Serious: when did {term} stop being fun?
    """),
    _words("The whole internet|Everybody in {place}|Every hotel worker here|A famous actor"),
    _words(
        "is suddenly talking about the blue door|stopped answering phones {when}|claims to remember the same dream|"
        "quit on the same day over a memo|is arguing about how to pronounce one word"
    ),
)
_ADVICE = Theme(
    0.97,
    0.6,
    _lines("""
        AITA for refusing {term} after what {who} did?
        I ({n}F) found out about {term} and {hate} it
        {who} wants {term}, I want to leave. What now?
        My partner lied about {term} for {n} months and I am heartbroken
        UPDATE: I told {who} about {term}. {mood}
        Would I be wrong to spend {money} on {term}?
        How do I ({n}M) apologise to {who} for {term}?
        CMV: {term} does more harm than good
        CMV: we should stop praising {term}
        {who} ruined {term} and everyone says I overreact
    """),
    _words("My mother-in-law|My fiance|The bride|My landlord|My best friend of {n} years"),
    _words(
        "cancelled the wedding by text message|secretly sold the house {when}|charged every guest {money}|"
        "read my diary aloud at dinner|gave away my dog while I was in hospital"
    ),
)
_NEWS = Theme(
    0.03,
    0.25,
    _lines("""
        {term} in {place} leaves {n} injured, officials say
        {term}: parliament votes after {n} hours of debate
        Thousands protest in {place} over {term}
        {place} celebrates {term} with a {good} surprise
        Court in {place} throws out case about {term}
        Minister resigns over {term}, calls it {awful}
        Report: {term} cost taxpayers {money}
        {place} bans {term} after outrage
        Peace talks over {term} make progress, {place} says
        Man arrested in {place} for {term}, again
        Rescue teams find {n} survivors after {term} in {place}
        New study links {term} to better health in {place}
    """),
    _words(
        "A strong earthquake|The central bank|A leaked report|The prime minister of {place}|A ferry with {n} aboard"
    ),
    _words(
        "shook {place} and left thousands without power|stunned markets with an emergency decision|"
        "exposed years of bribery in {place}|announced a shock resignation|ran aground off {place}, rescue under way"
    ),
)
_LEARN = Theme(
    0.25,
    0.12,
    _lines("""
        TIL that {term} was invented in {place} by accident
        TIL about {term}, which killed {n} people and is {awful}
        How did {term} end so quickly?
        ELI5: why does {term} work at all?
        The forgotten story of {term} in {place}
        What do historians get wrong about {term}?
        TIL {term} once cost {money}
        A {good} essay on {term} and why it still matters
        Is {term} defensible? A reply to its critics
        Against {term}
    """),
    _words("An archive in {place}|A family in {place}|A team of divers|A retired librarian"),
    _words(
        "found letters that rewrite the end of the war|opened a tomb that nobody knew about|"
        "identified a lost city by satellite|"
        "decoded a diary that was thought unreadable"
    ),
)
_GAMING = Theme(
    0.3,
    0.12,
    _lines("""
        {term} just ruined my {n}-hour save. {mood}
        Finally beat {term} after {n} tries!
        {term} runs {awful} on PC
        {term} is {n}% off {when}
        [Steam] {term} bundle ({money})
        The soundtrack of {term} is {superb}
        {who} built {term} out of cardboard
        Why is {term} still {bad} in 2026?
        {term} vs {term}: which one respects your time?
        Small detail in {term} I {love}
    """),
    _words("Larkspur Games|The studio behind Emberfall|Halcyon Interactive|A modder from {place}"),
    _words(
        "delayed Emberfall 2 by a year|gave its shooter away for free|closed its studio and fired {n} people by email|"
        "removed all microtransactions overnight|leaked the whole game {n} weeks early"
    ),
)
_AI = Theme(
    0.4,
    0.18,
    _lines("""
        {term} running on a laptop with {n} GB of RAM
        [R] {term} improves reasoning by {n} percent
        {term} is getting worse, and I {hate} it
        I asked {term} to plan my week and the answer was {superb}
        Comparison: {term} vs {term}, {n} prompts
        {term} refuses everything {when}. Ridiculous.
        Fine-tuned {term} on {n} million tokens, results inside
        Is {term} overhyped?
        {who} lost a job to {term}. I am scared.
        My workflow for {term}, step by step
        {term} solved a problem I failed at for {n} months!
    """),
    _words("Northlight Labs|Meridian AI|A lab from {place}|An anonymous team"),
    _words(
        "released Aurora-{n}B with open weights|lost its founder and {n} researchers overnight|"
        "published a model that beats everyone at half the price|was sued by {n} newspapers|leaked its training data"
    ),
)
_CODE = Theme(
    0.55,
    0.2,
    _lines("""
        How I cut {term} from {n} seconds to {n} milliseconds
        {term} considered harmful
        Show: a small library for {term}
        Why does {term} fail only in production?
        Beginner question about {term}
        {term} 3.{n} released
        I rewrote {term} and it is {superb}
        {term} wasted {n} hours of my life, I {hate} it
        What is your opinion on {term} in 2026?
        Code review wanted: {term} in {n} lines
        A deep dive into {term}
        {who} insists on {term}. How do I survive?
    """),
    _words("The maintainer of leftjoin|The core team|A {n}-year-old student|A bug in zcompress"),
    _words(
        "deleted the package and broke half the web|announced a rewrite that drops {n} years of compatibility|"
        "found a way to make builds {n} times faster|let anyone read any file for {n} years"
    ),
)
_OPS = Theme(
    0.5,
    0.2,
    _lines("""
        {term} went down {when} and took {n} services with it
        My {good} {term} setup
        {term} bill: {money}. How?
        Migrating {n} nodes from {term} to {term}
        Postmortem: {term} and a missing backup
        {term} is {superb} at home
        Critical vulnerability in {term}, patch now
        Is {term} worth learning {when}?
        Rack tour: {term}, {n} watts idle
        Analysis of {term}: how the attackers got in
        {term} keeps crashing, I am about to cry
    """),
    _words("A cloud region in {place}|Bluefin Cloud|A single expired certificate|The registry everyone uses"),
    _words(
        "went dark and took airlines and banks down|lost {n} hours of customer data|was compromised for {n} months|"
        "raised prices fourfold without notice"
    ),
)
_MONEY = Theme(
    0.5,
    0.3,
    _lines("""
        {term} to the moon!!!
        Lost {money} on {term}. {mood}
        Is {term} a value trap?
        DD: why {term} doubles by spring
        {term} at {n} years old: am I on track?
        Paid off {money} thanks to {term}!
        {term} crashes {n} percent in an hour
        Should I sell {term} and buy {term}?
        {term} is a scam and you are the exit liquidity
        Boring is beautiful: {n} years of {term}
        Notes on {term} from the annual report
    """),
    _words("Orchid Motors|The exchange Kestrel|A fund in {place}|Pinnacle Foods"),
    _words(
        "halted withdrawals and its CEO disappeared|rose {n} percent after a surprise profit|"
        "filed for bankruptcy overnight|"
        "was caught inventing {n} thousand customers|will be bought for a record price"
    ),
)
_SPORT = Theme(
    0.2,
    0.35,
    _lines("""
        [Highlight] {term} in the last second!
        {term} out for the season. Heartbreaking.
        Post-match thread: {term} wins in {place}
        {term} is the greatest of all time and it is not close
        The referee was {awful}: {term} robbed
        {term} signs for {n} years, {money}
        Unreal {term} by a {n}-year-old!
        Daily discussion: {term}
        {term} breaks a record that stood for {n} years
        How {term} fell apart
        Trade: {term} for {term}
    """),
    _words("The underdogs from {place}|The reigning champion|A {n}-year-old rookie|The national team"),
    _words(
        "came back from {n} points down to win the final|was banned for doping hours before the final|"
        "broke the oldest record in the book|scored from the halfway line in the last minute"
    ),
)
_SCREEN = Theme(
    0.3,
    0.15,
    _lines("""
        First look at {term}
        {term} is {superb}: review thread
        {term} is {awful} and I want my {money} back
        Just watched {term} for the first time. {mood}
        {term} renewed for {n} more seasons!
        {term} cancelled after {n} episodes, fans furious
        The ending of {term}, explained
        Which scene in {term} makes you cry?
        {who} drew {term}
        Theory: {term} was about {term} all along
        {term} opens to {money}
    """),
    _words("The director of Saltwater|The lead of Ninth Harbour|A tiny studio from {place}|Festival audiences"),
    _words(
        "walked off the set after {n} weeks|won every prize with a film shot on a phone|"
        "announced a sequel after {n} years|"
        "gave a {n}-minute standing ovation"
    ),
)
_MUSIC = Theme(
    0.15,
    0.1,
    _lines("""
        {term} - live in {place} [{n} years later]
        [FRESH] {term}
        {term} is the album of the year, I {love} it
        {term} cancelled the tour. Devastated.
        An appreciation of {term}
        {term} sounds {awful} on streaming
        What should I hear after {term}?
        {who} covers {term} on a ukulele
        The book that changed how I read: {term}
        Just finished {term} and I am a mess
    """),
    _words("The Paper Lanterns|A street singer from {place}|Juno Vale|The author of The Salt Road"),
    _words(
        "reunited on stage after {n} years|surprise-released a double album|lost the rights to every song|"
        "sold out {n} stadiums in an hour"
    ),
)
_LIFE = Theme(
    0.55,
    0.15,
    _lines("""
        Lost {n} kg with {term}!
        {term}: week {n} report
        {term} wrecked my knee. {mood}
        Day {n} of {term}: I feel {superb}
        Is {term} bad for beginners?
        {n} days alone in {place}: {term}
        My first {term} in {place}
        {term} scared me to death, never again
        Route advice: {place} to {place}, with {term}
        Tips for {term} when it rains
        From couch to {term} in {n} weeks
    """),
    _words("A {n}-year-old grandmother|A blind runner|A climber from {place}|A mail carrier"),
    _words(
        "finished a 100-mile race first|climbed the north face alone without ropes|crossed {place} on foot in {n} days|"
        "survived {n} nights on the mountain"
    ),
)
_CRAFT = Theme(
    0.1,
    0.06,
    _lines("""
        I made {term} for {who}
        My first {term}, be gentle
        {term} finished after {n} months!
        Before and after: {term}
        {term} cracked {when}. I am crushed.
        Homemade {term} with {term}
        What went wrong with my {term}?
        Rate my {term}
        {term} under {money}
        Restored {term} from {place}
        The smell of {term} is {superb}
    """),
    _words("A carpenter in {place}|A {n}-year-old baker|A couple from {place}|A hobby photographer"),
    _words(
        "rebuilt a burnt-down library by hand|photographed a bird that was thought extinct|"
        "won the world championship with a recipe from a napkin|printed a working violin"
    ),
)
_SCIENCE = Theme(
    0.2,
    0.1,
    _lines("""
        {term} observed for the first time
        New study: {term} reverses damage in mice
        Why is {term} so hard to measure?
        {term} explained with {n} pictures
        Large trial finds {term} useless, patients angry
        A {good} proof of {term}
        My photo of {term} from {place}, {n} hours of exposure
        {term} raises risk by {n} percent, study of {n} thousand people
        How confident are we about {term}?
        Breakthrough in {term} is {superb} news for patients
        Retracted: the famous paper on {term}
    """),
    _words("Astronomers in {place}|A team from {place}|An old weather satellite|A graduate student"),
    _words(
        "detected a signal that repeats every {n} minutes|cured a rare blindness with a single injection|"
        "found an error in a {n}-year-old proof|photographed a collision of two moons"
    ),
)

THEMES: dict[str, Theme] = {
    "humor": _HUMOR,
    "wholesome": _WHOLESOME,
    "ask": _ASK,
    "advice": _ADVICE,
    "news": _NEWS,
    "learn": _LEARN,
    "gaming": _GAMING,
    "ai": _AI,
    "code": _CODE,
    "ops": _OPS,
    "money": _MONEY,
    "sport": _SPORT,
    "screen": _SCREEN,
    "music": _MUSIC,
    "life": _LIFE,
    "craft": _CRAFT,
    "science": _SCIENCE,
}
FLAIRS = _words("Discussion|News|Question|Help|Meta|Image|Video|Article|OC|Update")
DOMAINS = _words(
    "dailyledger.example|harbourpost.example|signalpress.example|cloudnotes.example|openbench.example|"
    "fieldreport.example"
)
# The posts of one story differ in these; {actor} and {event} are the same in all of them.
STORY_TITLES = _lines("""
    {actor} {event}
    BREAKING: {actor} {event}
    {actor} {event} - what we know so far
    {mood} {actor} {event}
    So {actor} {event}. {mood}
    Megathread: {actor} {event}
    Can we talk about this? {actor} {event}
    {actor} {event}, and it is {superb}
    {actor} {event}, and it is {awful}
    {actor} {event}: a timeline
    Discussion: {actor} {event}
""")


def theme_of(name: str) -> str:
    """The theme of a subreddit; "ask" if it is not among the defaults."""
    found = TERMS.get(name.lower())
    return found[0] if found else "ask"


def terms_of(name: str) -> tuple[str, ...]:
    """The terms of a subreddit; its name if it is not among the defaults."""
    found = TERMS.get(name.lower())
    return found[1] if found else (name,)
