"""Do alerts and dashboards still answer when a candidate replaces the baseline?

Promises: an expression that cannot be read or judged is said to be so, with the reason; nothing is
called unchanged by guess; what is said rests on what both arms emitted in the experiment and is
marked "resolved, not evaluated". Names are translated as the user's backend does it.
Leaves to others: what each arm emitted (measurement), what follows for a verdict (experiments).
"""
