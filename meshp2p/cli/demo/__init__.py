"""`meshp2p demo`: five agents in processes of their own work together and survive a kill.

`show` is its entry, `plan` what it sets out to do, `scene` how, `report` what it found. The
agents' processes run `agent`; `judge` checks the vote's proof in one of its own.
"""
