"""What each default subreddit talks about: its theme, and terms of its own."""

_TABLE = """
funny humor: the office printer|dad jokes|a suspicious sandwich|my cat's alarm clock|the self checkout|a very honest sign|airport carpets
memes humor: Monday meetings|the group project|low battery|the last slice|grandma's wifi|group chats|homework at midnight
dankmemes humor: stonks|the void|a cursed spreadsheet|the loading bar|forbidden snacks|the final boss|my remaining brain cell
me_irl humor: sleeping in|anxiety at 3 am|unread emails|social battery|the snooze button|therapy homework|cold coffee
cursedcomments humor: a cooking video|the dentist's reply|a quiet elevator|the goldfish incident|uncle's toast|the comment section
nextfuckinglevel wholesome: a one-handed backflip|street chalk art|blindfold chess|a {n}-metre dive|the drum solo|a paper glider
interestingasfuck wholesome: an underwater volcano|glass under pressure|a {n}-legged robot|frozen bubbles|a hidden staircase|tidal bores
MadeMeSmile wholesome: the first day of school|a surprise visit|her first concert|grandpa's garden|the adopted twins|a hospital choir
oddlysatisfying wholesome: fresh paint|a clean cut of soap|stacked stones|the perfect fit|rolling dough|a freshly mown field|ink in water
AskReddit ask: a family secret|bad first dates|hotel rooms|small talk|your first job|a lie you tell|neighbours|weddings|being alone
OutOfTheLoop ask: the blue door|everyone quitting that app|the empty billboards|that mayor|the singing robot|the {n} second video
NoStupidQuestions ask: sneezing at night|ice in drinks|left-handed scissors|passports|dreams|how banks open|pigeons|thank-you cards
explainlikeimfive ask: inflation|magnets|how planes stay up|time zones|encryption|yeast|black holes|interest rates|the tides
Showerthoughts ask: mirrors|the alphabet|old photographs|silence|leftovers|elevator music|birthdays|maps|doorbells
changemyview advice: tipping|private schools|zoos|remote work|homework|open offices|car ownership|loyalty to a company|inheritance
AmItheAsshole advice: a wedding seat|the shared fridge|babysitting|her loan|the family cabin|a birthday dinner|the parking space|the will
relationship_advice advice: separate beds|his ex|a hidden phone|moving abroad|the joint account|trust|long distance|her messages
worldnews news: the border closure|a grain deal|the ceasefire|wildfires|the election count|a pipeline leak|sanctions|flooding|the summit
news news: a school bus crash|the nurses' strike|a train derailment|price fixing|the recall of baby food|a jail break|the storm
politics news: the budget bill|campaign money|a secret memo|the filibuster|voter rolls|the hearing|the governor's veto|tariffs
UpliftingNews news: a library reopening|free insulin|the returning wolves|a debt jubilee|river cleanup|a transplant|meals for all
nottheonion news: a cheese heist|the missing bridge|a duck patrol|the haunted tax office|an escaped emu|the accidental mayor
todayilearned learn: the emu war|purple dye|the first vending machine|a mountain of salt|invisible ink|Antarctic post|the safety pin
gaming gaming: Emberfall|Starharbour|the water level|split-screen|Knights of Mould|photo mode|the tutorial boss|fishing minigames
pcgaming gaming: shader stutter|the launcher|ultrawide support|Frostline|anti-cheat|DLSS|kernel drivers|mod support|Dust Circuit
GameDeals gaming: Tidebreaker|Frostline Complete|the autumn sale|Cobalt Rain|a mystery box|Hexhold|Old Roads Collection
technology ai: facial recognition|the phone ban|right to repair|self-driving taxis|the chip shortage|smart meters|data brokers|5G masts
artificial ai: AI tutors|voice clones|agent swarms|synthetic data|robot carers|the Turing test|AI regulation|reasoning models
ChatGPT ai: memory|custom instructions|the new voice|the free tier|image generation|refusals|long chats|the mobile app
LocalLLaMA ai: a 7B model|4-bit quantization|two used GPUs|llama.cpp|a 70B merge|KV cache tricks|speculative decoding|Aurora weights
StableDiffusion ai: ControlNet|a LoRA of my cat|inpainting|SDXL|hands|video diffusion|upscaling|the new sampler|prompt weights
OpenAI ai: the API price|the board|the reasoning model|rate limits|the roadmap|function calling|the developer day|data retention
singularity ai: AGI timelines|longevity drugs|brain uploads|humanoid robots|the takeoff|post-scarcity|simulation theory
MachineLearning ai: sparse attention|diffusion policies|reviewer 2|scaling laws|graph networks|a reproducibility study|optimizers
programming code: garbage collection|monorepos|code review|unit tests|microservices|memory safety|SQL|regular expressions|null
learnprogramming code: recursion|my first loop|pointers|the bootcamp|an array exercise|impostor feelings|git|a to-do app|debugging
Python code: asyncio|type hints|pandas|the GIL|decorators|packaging|FastAPI|dataclasses|a Django migration|list comprehensions
javascript code: promises|closures|a bundler|npm audit|hoisting|React hooks|web components|the event loop|dates in JavaScript
webdev code: CSS grid|cookie banners|a landing page|accessibility|serverless forms|dark mode|page speed|WordPress plugins|SEO
linux ops: systemd|the kernel {n} release|Wayland|a tiling window manager|printer drivers|Debian|btrfs|a boot loop|bash scripts
cybersecurity ops: a phishing test|ransomware|the SOC night shift|zero trust|password managers|the audit|a breach notice|MFA fatigue
wallstreetbets money: weekly calls|my wife's savings|a GPU stock|earnings puts|margin|tendies|a short squeeze|the rate decision
stocks money: Orchid Motors|chip makers|a stock split|the dividend cut|small caps|index inclusion|guidance|bank earnings
investing money: bond ladders|emerging markets|rebalancing|target-date funds|gold|REITs|inflation-linked bonds|cash at {n} percent
personalfinance money: an emergency fund|credit card debt|the first mortgage|a car loan|the tax refund|a surprise bill|insurance
CryptoCurrency money: a rug pull|layer-two fees|stablecoins|cold wallets|the airdrop|memecoins|staking|the bridge hack|altseason
Bitcoin money: the halving|a hardware wallet|lightning|self custody|mining at home|the mempool|dollar-cost averaging|the white paper
Superstonk money: the transfer agent|dark pools|the annual meeting|short interest|diamond hands|the float|settlement fails
financialindependence money: the four percent rule|coast FI|early retirement|a savings rate of {n}|geoarbitrage|the one more year
nba sport: a buzzer beater|the trade deadline|a triple double|load management|the rookie class|a flagrant foul|game seven
nfl sport: a {n}-yard field goal|fourth and one|the draft|a blown coverage|the backup quarterback|pass interference|the bye week
soccer sport: a stoppage-time winner|VAR|a bicycle kick|the relegation fight|the transfer window|a red card|the derby|penalties
formula1 sport: the undercut|a safety car|tyre strategy|qualifying in the rain|team orders|the rookie seat|track limits|turn one
baseball sport: a perfect game|a walk-off homer|the bullpen|the pitch clock|a stolen base|the trade for a closer|extra innings
hockey sport: an overtime winner|a glove save|the power play|a hat trick|the goalie fight|the wild card race|a shootout
tennis sport: a five-set final|the second serve|a wild card run|clay season|match point|the injury timeout|a double fault
movies screen: Saltwater|the new western|practical effects|a {n}-hour cut|the remake|the twist|subtitles|The Long Orbit
television screen: Ninth Harbour|the pilot|the finale|the spin-off|a bottle episode|the laugh track|season {n}|The Clerks of Mars
anime screen: the beach episode|Moonlit Garrison|the studio's schedule|the dub|a {n}-year hiatus|Petal Engine|the opening song
marvelstudios screen: the mid-credits scene|the multiverse|a recast hero|the trailer|the villain's plan|phase {n}|the cameo
StarWars screen: the trench run|a lightsaber build|the prequels|a deleted scene|the droid|Jedi politics|the opening crawl
music music: Juno Vale|The Paper Lanterns|a lost demo|vinyl|the bridge of that song|a {n}-minute outro|festival season
hiphopheads music: a surprise mixtape|the diss track|the producer tag|Kid Ferro|the sample|a feature nobody expected|the second verse
books music: The Salt Road|a {n}-page epic|the unreliable narrator|my library card|short stories|rereading|the translation|DNFs
AskMen ask: growing a beard|male friendships|compliments|crying at work|the barber|fatherhood|first dates|hobbies after {n}
AskWomen ask: walking home|pockets|friend breakups|being interrupted|skincare|living alone|career breaks|being {n}
loseit life: calorie counting|the plateau|walking after dinner|sugar|my goal weight|meal prep|late-night snacks|loose skin
fitness life: deadlifts|rest days|creatine|a home gym|the push-pull split|protein|shoulder pain|{n} pull-ups|stretching
DIY craft: a bathroom floor|a leaking roof|a garden shed|drywall|a floating shelf|rewiring the kitchen|a fence|crown moulding
cooking craft: risotto|a cast-iron pan|knife skills|chicken stock|sourdough|pan sauce|garlic|leftover rice|a {n}-hour stew
food craft: ramen|birria tacos|a cheese board|smash burgers|croissants|dumplings|pizza from {place}|brisket|lemon tart
rust code: the borrow checker|async traits|unsafe code|cargo workspaces|a {n}x speedup|lifetimes|macros|error handling
golang code: generics|channels|error wrapping|the scheduler|context values|a race condition|table tests|interfaces
devops ops: a Friday deploy|Terraform state|on-call|the CI queue|GitOps|secrets rotation|blue-green deploys|flaky tests
aws ops: NAT gateways|Lambda cold starts|an S3 bucket policy|IAM|the Virginia region|spot instances|DynamoDB|egress fees
kubernetes ops: a crash loop|ingress|operators|pod eviction|etcd|Helm charts|network policies|autoscaling|the upgrade to 1.{n}
selfhosted ops: a photo server|reverse proxies|a media library|backups|a mail server|Home Assistant|dashboards|a dead SD card
homelab ops: a used rack server|a 10G switch|UPS batteries|Proxmox|a mini PC cluster|ZFS|cable management|fan noise
netsec ops: a heap overflow|a supply-chain attack|SSRF|an auth bypass|fuzzing|certificate pinning|a VPN appliance|side channels
ReverseEngineering ops: a firmware dump|an obfuscated binary|a game protocol|a decompiler|an old console|a packed loader|a car key fob
datascience code: feature drift|a messy CSV|A/B tests|dashboards nobody reads|causal inference|notebooks|job interviews|SQL tests
compsci code: a sorting network|P versus NP|consistent hashing|compilers|automata|a bloom filter|type theory|page replacement
science science: gut bacteria|microplastics|a {n}-year cohort|sleep loss|coral recovery|a malaria vaccine|loneliness|air pollution
physics science: quantum entanglement|a room-temperature superconductor|muon decay|dark matter|the double slit|turbulence|entropy
math science: the Collatz problem|prime gaps|topology|a {n}-page proof|category theory|the birthday problem|tilings|infinite series
neuroscience science: memory consolidation|the default network|brain organoids|dopamine|a spinal implant|neurogenesis|migraine
chemistry science: a fume hood|chiral catalysts|crystal growth|the periodic table|a colour change|NMR spectra|battery chemistry
space science: the lunar lander|a reusable booster|Europa|a solar flare|the new telescope|orbital debris|Mars samples|a rocket test
Astronomy science: the Orion nebula|a comet|Saturn's rings|star trails|a binary pulsar|the Milky Way|Jupiter's moons|an eclipse
biology science: tardigrades|a slime mould|bird migration|gene drives|deep-sea worms|photosynthesis|an invasive crab|venom
medicine science: night shifts|prior authorisation|sepsis|a missed diagnosis|residency|antibiotic resistance|the new guideline
AskScience science: the speed of gravity|fever|lightning|earwax|volcano gas|deep water|metal fatigue|colour vision|viruses
Futurology ai: fusion power|lab-grown meat|a universal income|vertical farms|space elevators|the four-day week|gene therapy
algotrading money: a mean-reversion bot|slippage|backtest overfitting|order books|a {n}-year dataset|latency|paper trading
SecurityAnalysis money: a spin-off|free cash flow|activist letters|goodwill|a short report|working capital|a holding company
ValueInvesting money: a net-net|moats|the annual letter|price to book|a boring insurer|cigar butts|owner earnings
Bogleheads money: a three-fund portfolio|expense ratios|staying the course|bonds at {n} percent|lump sums|international stocks
quant money: the interview|a volatility surface|stochastic calculus|a pricing bug|factor models|bonus season|Monte Carlo paths
economics money: the jobs report|rent control|trade deficits|a carbon price|minimum wages|productivity|the yield curve|housing supply
geopolitics news: the strait|a naval base|rare earths|the new alliance|energy exports|a border treaty|the arms deal|grain routes
history learn: the fall of Constantinople|Roman concrete|the Silk Road|a plague year|medieval bread|the printing press|the trenches
philosophy learn: free will|the trolley problem|Stoicism|moral luck|personal identity|scepticism|Kant on lying|consciousness
TrueReddit learn: the end of local news|a town without cars|the price of sleep|loneliness|how prisons feed people|ghost kitchens
slatestarcodex learn: prediction markets|nootropics|school signalling|steelmanning|base rates|the control group|land value tax
law news: a jury verdict|qualified immunity|the appeal|a class action|legal briefs by AI|the bar exam|a leaked opinion|custody
boardgames gaming: worker placement|a {n}-hour wargame|the insert|solo mode|a legacy campaign|deck building|game night|meeples
photography craft: golden hour|a film camera|street portraits|a {n}mm lens|long exposure|editing|a light leak|the northern lights
woodworking craft: a walnut table|dovetails|a hand plane|epoxy|a cutting board|the table saw|a crib|French polish|workbench vises
3Dprinting craft: a benchy|bed levelling|a {n}-hour print|stringing|resin|a cosplay helmet|multi-colour|spaghetti|nozzle clogs
MechanicalKeyboards craft: tactile switches|a split board|keycaps|lubing|a {n} percent layout|the group buy|stabilisers|foam mods
bicycling life: a broken spoke|the commute|a century ride|gravel tyres|bike theft|winter gloves|a steel frame|the hill near {place}
running life: a half marathon|shin splints|zone two|a sub-{n} 5k|carbon shoes|the long run|race nerves|the taper|heat training
climbing life: a V{n} boulder|finger injuries|trad gear|the crux|belay mistakes|an alpine start|crack gloves|my first lead
solotravel life: hostels|night trains|eating alone|a stolen passport|overpacking|the border bus|language apps|a missed ferry
ExperiencedDevs code: the reorg|a {n}-hour interview|tech debt|mentoring juniors|performance reviews|estimates|a rewrite|on-call pay
"""


def _parse(table: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    found = {}
    for line in table.strip().splitlines():
        head, terms = line.split(": ", 1)
        name, theme = head.split()
        found[name.lower()] = (theme, tuple(terms.split("|")))
    return found


# From the name in lower case to theme and terms.
TERMS = _parse(_TABLE)
