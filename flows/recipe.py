"""The recipe: one strict model of everything a run depends on, made of the steps' own settings.

    recipe = load_recipe("support_triage")          # a folder below flows/recipes
    recipe = load_recipe("../ours/recipe.yaml")     # or any file, or the folder it lies in

A recipe says only what it wants otherwise; each setting's default and the reason for it stand beside its step.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, cast

from pydantic import Field, PrivateAttr

from data_contracts.contract import check_kind, read_contract
from flows.overrides import Overrides, in_words, overridden
from flows.recipes import FILE, RECIPES, installed_recipes
from tasks.core.allowed_folders import check_inside
from tasks.core.decisions import Decisions, read_decisions
from tasks.core.errors import RecipeError, nearest
from tasks.core.row_kind import KINDS, SFT, KindName, RowKind
from tasks.core.settings import MisfitError, Settings
from tasks.core.text.strict_yaml import as_typed, read_yaml, refuse
from tasks.core.text.user_input import quoted, typed_path
from tasks.curation.advise import AdviseSettings
from tasks.curation.check import CheckSettings
from tasks.curation.clean import CleanSettings
from tasks.curation.conflicts import ConflictSettings
from tasks.curation.decontaminate import DecontaminateSettings
from tasks.curation.dedupe import DedupeSettings
from tasks.curation.filter import FilterSettings
from tasks.curation.format import FormatSettings
from tasks.curation.ingest import IngestSettings, Source
from tasks.curation.label_errors import LabelErrorSettings
from tasks.curation.redact import RedactSettings
from tasks.curation.review import ReviewSettings
from tasks.curation.select import SelectSettings
from tasks.curation.split import SplitSettings
from tasks.evaluation.evaluate import EvaluateSettings
from tasks.evaluation.gate import GateSettings
from tasks.evaluation.report import ReportSettings
from tasks.metrics.answer_schema import AnswerSettings
from tasks.model.base_model import BaseModelSettings
from tasks.model.chat_template import PromptSettings
from tasks.monitoring.retrain_rule import WatchSettings
from tasks.release.promote import PromoteSettings
from tasks.release.register import RegisterSettings
from tasks.training.methods import METHODS
from tasks.training.settings import TrainSettings

# Every class has a `register` of ABCMeta, which nobody calls on a recipe.
warnings.filterwarnings("ignore", message='Field name "register" in "Recipe" shadows')


class DataSettings(Settings):
    """Where rows come from. Paths are relative to the recipe's folder; URLs of object stores work as well."""

    # Raw exports, as dirty as they are; these become the training and validation rows.
    train: tuple[Source, ...] = Field(min_length=1)
    # Clean rows that were written apart from the raw ones; the gate's figures are measured on these. Curate alone does
    # without.
    holdout: tuple[Source, ...] = ()
    # Hard rows, measured apart: out of scope, hostile, empty, other languages.
    edge_cases: tuple[Source, ...] = ()
    # Public benchmarks whose questions may not be trained on; they are only compared with.
    benchmarks: tuple[Source, ...] = ()


class Recipe(Settings):
    """What to train from what, and what must hold before it is registered. Keys stand in the order of the run."""

    # Becomes the registered model's name in MLflow, which refuses slashes and colons.
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    # What the rows are: conversations, preference pairs, or texts with a label. What can be
    # trained on them: the method says.
    kind: KindName = SFT.name
    # Curate alone does without; then nothing counts tokens.
    base_model: BaseModelSettings | None = None
    prompt: PromptSettings = Field(default_factory=PromptSettings)
    answer: AnswerSettings = Field(default_factory=AnswerSettings)
    data: DataSettings
    # A contract in data_contracts/ by name, or a YAML file by its path from the recipe's folder.
    contract: str
    ingest: IngestSettings = Field(default_factory=IngestSettings)
    review: ReviewSettings = Field(default_factory=ReviewSettings)
    clean: CleanSettings = Field(default_factory=CleanSettings)
    redact: RedactSettings = Field(default_factory=RedactSettings)
    filter: FilterSettings = Field(default_factory=FilterSettings)
    format: FormatSettings = Field(default_factory=FormatSettings)
    conflicts: ConflictSettings = Field(default_factory=ConflictSettings)
    dedupe: DedupeSettings = Field(default_factory=DedupeSettings)
    label_errors: LabelErrorSettings = Field(default_factory=LabelErrorSettings)
    decontaminate: DecontaminateSettings = Field(default_factory=DecontaminateSettings)
    select: SelectSettings = Field(default_factory=SelectSettings)
    check: CheckSettings = Field(default_factory=CheckSettings)
    split: SplitSettings = Field(default_factory=SplitSettings)
    advise: AdviseSettings = Field(default_factory=AdviseSettings)
    train: Annotated[TrainSettings, METHODS] = Field(default_factory=lambda: cast(TrainSettings, METHODS.chosen()))
    evaluate: EvaluateSettings = Field(default_factory=EvaluateSettings)
    gate: GateSettings
    register: RegisterSettings = Field(default_factory=RegisterSettings)
    promote: PromoteSettings = Field(default_factory=PromoteSettings)
    report: ReportSettings = Field(default_factory=ReportSettings)
    watch: WatchSettings = Field(default_factory=WatchSettings)
    _file: Path = PrivateAttr(default=Path(FILE))
    _text: str = PrivateAttr(default="")

    @property
    def text(self) -> str:
        """The recipe as it was written, comments and all, with what was set otherwise; registered beside the model."""
        return self._text

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the recipe start from; no part of the recipe's identity."""
        return self._file.parent

    @property
    def rows_are(self) -> RowKind:
        """The kind, as steps are given it."""
        return KINDS[self.kind]

    @property
    def trained_model(self) -> BaseModelSettings:
        """The base model of a recipe that is trained. Raises RecipeError where it names none."""
        if self.base_model is None:
            raise self._lacks("base_model", "a base model", "base_model: {source: ...}, as in the example recipe")
        return self.base_model

    def check_trainable(self) -> None:
        """Raise RecipeError, before anything runs, for a recipe that can be curated and not trained."""
        if not self.is_trainable:
            method = METHODS.get(self.train.method)
            raise RecipeError(
                f"Rows of kind {self.kind} are curated and exported here; {method.title} does not learn from them.",
                where=f"recipe: kind, and train.method ({self.train.method})",
                allowed=f"for this method: {', '.join(name for name in KINDS if name in method.learns_from)}",
                todo="`assay curate` this recipe, then `assay export` it for another trainer",
            )
        if not self.data.holdout:
            raise self._lacks("data.holdout", "held-out rows to judge by", "files of rows that nobody trains on")
        _ = self.trained_model

    def _lacks(self, key: str, what: str, allowed: str) -> RecipeError:
        return RecipeError(
            f"The recipe names no {what.removeprefix('a ')}, which training needs.",
            where=f"{self._file}: {key}",
            allowed=allowed,
            todo=f"add {key}, or `assay curate` alone",
        )

    @property
    def is_trainable(self) -> bool:
        """Whether the training method learns from rows of this kind; else they can be curated and exported."""
        return self.kind in METHODS.get(self.train.method).learns_from

    @property
    def decisions_file(self) -> Path:
        """Where reviewers' decisions are kept; there is none before the first."""
        return check_inside(self.folder / self.review.decisions, "recipe: review.decisions")

    @property
    def decisions(self) -> Decisions:
        """What reviewers decided so far. Raises DataError for a line of the file that is no decision."""
        return read_decisions(self.decisions_file)


def load_recipe(name_or_path: str, overrides: Overrides | None = None) -> Recipe:
    """Read a recipe by name or path. Raises RecipeError, naming file, line, key, value got and what is allowed.

    overrides: keys of the recipe and their values, which count instead of the file's (flows/overrides.py).
    """
    file = find_recipe(name_or_path)
    recipe, text = read_yaml(file, Recipe), file.read_text(encoding="utf-8")
    if not overrides:
        return _fitted(recipe, file, text)
    try:
        text = overridden(text, overrides)
        return _fitted(read_yaml(file, Recipe, text=text), file, text)
    except RecipeError as error:
        where = f"{error.where}, once {in_words(overrides)} is set"
        raise RecipeError(error.what, where=where, allowed=error.allowed, todo=error.todo) from None


def find_recipe(name_or_path: str) -> Path:
    """The file of a recipe, given its name, its path or its folder's path."""
    installed = installed_recipes()
    if name_or_path in installed:
        return installed[name_or_path]
    path = typed_path(name_or_path, "the name or path of the recipe")
    if path.is_dir():
        path = path / FILE
    if path.is_file():
        check_inside(path, "the recipe")
        return path
    raise RecipeError(
        f"There is no recipe {quoted(name_or_path)}.",
        where=f"{as_typed(RECIPES)}/, and the path {as_typed(path.absolute())}",
        allowed=f"{', '.join(installed)}; or the path of a recipe file or of the folder it lies in",
        todo=nearest(name_or_path, list(installed)) or "check the name, or start from a copy of a recipe that is there",
    )


def _fitted(recipe: Recipe, file: Path, text: str) -> Recipe:
    """The recipe, once its parts go together; found here, before a run has cost minutes. Its text stays as it is."""
    folder = file.resolve().parent
    check_kind(read_contract(recipe.contract, folder), recipe.kind)
    parts = {name: getattr(recipe, name) for name in Recipe.model_fields}
    for name, part in parts.items():
        try:
            parts[name] = part.fitted(recipe, folder) if isinstance(part, Settings) else part
        except MisfitError as error:
            todo, allowed = error.todo or nearest(error.got, error.known), ", ".join(error.known)
            where = (error.section or name, *error.location)
            raise refuse(file, where, error.problem, allowed=allowed, todo=todo, text=text) from error
    fitted = recipe.model_copy(update=parts)
    fitted._file, fitted._text = file.resolve(), text
    return fitted
