def picture(results, plan):
    return "<svg/>"
