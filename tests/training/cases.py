"""One entry for each method: settings for the tests that all methods share."""

from typing import NamedTuple

from greedymm.settings import MethodSettings
from greedymm.training.methods.agm import Settings as Agm
from greedymm.training.methods.anti_balance import Settings as AntiBalance
from greedymm.training.methods.balanced import Settings as Balanced
from greedymm.training.methods.composition import Settings as Composition
from greedymm.training.methods.dgl import Settings as Dgl
from greedymm.training.methods.g_blend import Settings as GBlend
from greedymm.training.methods.greedy import Settings as Greedy
from greedymm.training.methods.inforeg import Settings as InfoReg
from greedymm.training.methods.lfm import Settings as Lfm
from greedymm.training.methods.miles import Settings as Miles
from greedymm.training.methods.mla import Settings as Mla
from greedymm.training.methods.modality_dropout import Settings as ModalityDropout
from greedymm.training.methods.mses import Settings as Mses
from greedymm.training.methods.mslr import Settings as Mslr
from greedymm.training.methods.ogm_ge import Settings as OgmGe
from greedymm.training.methods.random import Settings as Random
from greedymm.training.methods.tcmax import Settings as TcMax


class Case(NamedTuple):
    """A method on the tiny network of `tiny`, which trains four epochs of five steps."""

    settings: MethodSettings  # with these it acts
    neutral: MethodSettings | None = None  # with these it is greedy training to the bit; None: it has no such settings
    two_only: bool = False  # it refuses three modalities
    joint: bool = True  # it works with a joint head


CASES = {
    "greedy": Case(Greedy()),
    "balanced": Case(Balanced(tolerance=0.05, window=3), neutral=Balanced(tolerance=1e9), joint=False),
    "random": Case(Random(), joint=False),
    "composition": Case(
        Composition.model_validate({"parts": ["ogm_ge", {"method": "modality_dropout", "p": 0.4}]}),
        neutral=Composition.model_validate(
            {"parts": [{"method": "ogm_ge", "alpha": 0, "noise": False}, {"method": "modality_dropout", "p": 0}]}
        ),
    ),
    "lfm": Case(
        Lfm.model_validate({"rate": 0.1, "active": {"stop": 2}}), neutral=Lfm.model_validate({"active": {"start": 9}})
    ),
    "ogm_ge": Case(OgmGe(), neutral=OgmGe(alpha=0, noise=False)),
    "agm": Case(Agm(), neutral=Agm(alpha=0, additive=True)),
    "g_blend": Case(GBlend(super_epoch=2, probe=1)),
    "mla": Case(Mla()),
    "modality_dropout": Case(ModalityDropout(p=0.4), neutral=ModalityDropout(p=0)),
    "dgl": Case(Dgl(alpha=1.5)),
    "inforeg": Case(InfoReg(), neutral=InfoReg(threshold=1)),
    "mslr": Case(Mslr(memory=2, objective="multi"), neutral=Mslr(dynamic=False)),
    "mses": Case(Mses(patience=1, smoothing=0.2), neutral=Mses(patience=9)),
    "miles": Case(Miles(tau=0, gamma=2), neutral=Miles(mu=1)),
    "anti_balance": Case(AntiBalance(), neutral=AntiBalance(alpha=0)),
    "tcmax": Case(TcMax()),
}
