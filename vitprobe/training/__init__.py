"""Recipes, the training loop, checkpoints written."""

from vitprobe.training.recipe import Recipe, find_recipe, recipes
from vitprobe.training.settings import Settings
from vitprobe.training.train import TrainingResult, train

__all__ = ["Recipe", "Settings", "TrainingResult", "find_recipe", "recipes", "train"]
