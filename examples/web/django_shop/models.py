"""What the shop itself keeps of an order: its row, and which saga fulfils it."""

from django.db import models


class Order(models.Model):
    number = models.IntegerField(unique=True)
    item = models.CharField(max_length=100)
    saga_id = models.CharField(max_length=26)

    class Meta:
        app_label = "shop"

    def __str__(self) -> str:
        return f"order {self.number}: {self.item}"
