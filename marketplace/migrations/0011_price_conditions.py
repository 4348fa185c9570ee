from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0010_price_watches")]

    operations = [
        migrations.AlterField(model_name="price", name="unit", field=models.CharField(max_length=64)),
    ]
