"""The simulation on the command line.

python -m tests.simulation --seeds 20000
python -m tests.simulation --replay 4711 --trace
python -m tests.simulation --seeds 500 --beside
python -m tests.simulation --mutants
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from sebastian_apps.observability.progress import counted
from tests.simulation.campaign import Campaign, examine_all
from tests.simulation.mutants import MUTANTS, hunt
from tests.simulation.plan import Scenario, draw
from tests.simulation.run import Run, run
from tests.simulation.shrink import replay_command, shrink

SHOWN_AT_MOST = 3


@click.command()
@click.option("--seeds", default=500, help="How many seeds to run.")
@click.option("--first", default=0, help="The first seed.")
@click.option("--processes", default=None, type=int, help="Default: one a core.")
@click.option("--replay", default=None, type=int, help="Run this seed alone and tell about it.")
@click.option("--only-faults", default=None, help="With --replay: these faults alone.")
@click.option("--only-customers", default=None, help="With --replay: these customers alone.")
@click.option("--only-spells", default=None, help="With --replay: these spells of trouble alone.")
@click.option("--trace", is_flag=True, help="With --replay: print the whole trace.")
@click.option("--beside", is_flag=True, help="One process of five runs the version before.")
@click.option("--mutants", is_flag=True, help="Plant bugs, and see whether they are caught.")
@click.option("--mutant", multiple=True, help="Only this planted bug; may be given again.")
@click.option("--mutant-seeds", default=300, help="How many seeds a planted bug is looked for in.")
def main(
    seeds: int,
    first: int,
    processes: int | None,
    replay: int | None,
    only_faults: str | None,
    only_customers: str | None,
    only_spells: str | None,
    trace: bool,
    beside: bool,
    mutants: bool,
    mutant: Sequence[str],
    mutant_seeds: int,
) -> None:
    """Run the deterministic simulation; exits with 1 where a promise was broken."""
    if mutants or mutant:
        sys.exit(_hunt(mutant, mutant_seeds, processes))
    if replay is not None:
        scenario = _only(draw(replay), only_faults, only_customers, only_spells)
        sys.exit(_tell(run(scenario, beside=beside), with_trace=trace))
    sys.exit(_campaign(range(first, first + seeds), processes, beside=beside))


def _campaign(seeds: range, processes: int | None, *, beside: bool) -> int:
    campaign = Campaign()
    for result in counted("seeds", examine_all(seeds, processes, beside=beside), len(seeds)):
        campaign.take(result)
        if result.complaints:
            click.echo(f"seed {result.seed}: {result.complaints[0].splitlines()[0]}", err=True)
    click.echo(campaign.told())
    for result in campaign.failed[:SHOWN_AT_MOST]:
        small = shrink(run(draw(result.seed), beside=beside))
        click.echo(f"\nseed {result.seed}, made as short as could be found:")
        _tell(small, with_trace=True)
    return 1 if campaign.failed else 0


def _tell(ran: Run, *, with_trace: bool) -> int:
    if with_trace:
        click.echo(ran.trace.told())
    for complaint in ran.complaints:
        click.echo(complaint)
    scenario = ran.scenario
    click.echo(
        f"seed {scenario.seed}: {scenario.chats} chats, {ran.trace.faults} faults, "
        f"{len(ran.complaints)} violations, trace {ran.trace.digest()}\n"
        f"again: {replay_command(scenario)}{' --beside' if ran.beside else ''}"
    )
    return 0 if ran.is_clean else 1


def _only(
    scenario: Scenario, faults: str | None, customers: str | None, spells: str | None
) -> Scenario:
    return scenario.without(
        faults=_others(faults, [each.number for each in scenario.faults]),
        customers=_others(customers, [each.number for each in scenario.customers]),
        spells=_others(spells, [each.number for each in scenario.spells]),
    )


def _others(kept: str | None, numbers: Sequence[int]) -> list[int]:
    if kept is None:
        return []
    wanted = {int(each) for each in kept.split(",") if each}
    return [each for each in numbers if each not in wanted]


def _hunt(names: Sequence[str], seeds: int, processes: int | None) -> int:
    missed = 0
    chosen = [each for each in MUTANTS if not names or each.name in names]
    for mutant, catch in counted("bugs", hunt(chosen, seeds, processes), len(chosen)):
        missed += catch is None
        told = "NOT CAUGHT" if catch is None else f"seed {catch.seed}: {catch.complaint}"
        click.echo(f"{mutant.name:<40} {told}")
    click.echo(f"caught {len(chosen) - missed} of {len(chosen)} planted bugs")
    return 1 if missed else 0


if __name__ == "__main__":
    main()
